"""Lamps and relays: what they should do, by command, by schedule, by motion; with or without a network.

a level that was set         holds for ever, or where there is a schedule until its next step
a schedule (`schedule.py`)   by the time; kept on flash, so that it is followed after a restart without a network
motion                       raises the level of a lamp that is on, as its schedule says
"""

import asyncio
import json
import os

from qytet_node.schedule import Schedule, ScheduleError

LOOK_MS = 1000
_PWM_HZ = 1000
_LOWEST_ANALOG = 10
"""% of a 0-10 V input below which gears are undefined (IEC 60929 Annex E: 1 V is the lowest level); then it is off."""


class OutputError(ValueError):
    """A command that an output cannot follow; says why."""


class Output:
    """One output; `row` is the profile's: name, kind, pin, and of these: key, invert, hz."""

    def __init__(self, row, hardware):
        self.name, self.key = row["name"], row.get("key")
        self.level = None
        self.schedule = None
        self.fixed = None
        self.override = None  # (step, level)
        self._kind, self._invert = row["kind"], row.get("invert", False)
        if self._kind == "relay":
            self._pin = hardware.output(row["pin"])
        else:
            self._pin = hardware.pwm(row["pin"], row.get("hz", _PWM_HZ))

    def drive(self, level):
        """Put a level in % out; tells whether it is another one."""
        if self._kind == "analog" and 0 < level < _LOWEST_ANALOG:
            level = _LOWEST_ANALOG
        if level == self.level:
            return False
        self.level = level
        if self._kind == "relay":
            self._pin.value(int((level > 0) != self._invert))
        else:
            duty = int(level * 65535 / 100 + 0.5)
            self._pin.duty_u16(65535 - duty if self._invert else duty)
        return True

    def wanted(self, now_s, lux, quiet_ms):
        """The level that it should have: the time in Unix seconds or None, lux or None, ms since something moved."""
        plan = self.schedule
        if plan is None:
            return self.fixed or 0
        if now_s is None:
            light = plan.dark_lux is not None and lux is not None and lux >= plan.dark_lux
            step, level = None, 0 if light else plan.unknown
        else:
            step, level = plan.at(now_s)
        if self.override is not None:
            if self.override[0] == step:
                return self.override[1]
            self.override = None
        if plan.motion and level and quiet_ms is not None and quiet_ms < plan.motion[1]:
            return max(level, plan.motion[0])
        return level


class Outputs:
    """All outputs of a profile; `path` keeps schedules and levels, `lux()` is light or None.

    `told(values)` hears of every level that changed.
    """

    def __init__(self, rows, hardware, clock, path, lux, told):
        self._clock, self._path, self._lux, self._told = clock, path, lux, told
        self._outputs = {row["name"]: Output(row, hardware) for row in rows}
        self._moved_at = None
        self._wake = asyncio.Event()
        self.damaged = False
        self._load()

    # ---- commands

    def set(self, name, level):
        """A level in %; where there is a schedule it holds until the next step. Raises OutputError."""
        output = self._named(name)
        if isinstance(level, bool) or not isinstance(level, (int, float)) or not 0 <= level <= 100:
            raise OutputError("value must be a number from 0 to 100")
        if output.schedule is None:
            output.fixed = level
            self._save()
        else:
            now_s = self._now_s()
            output.override = (None if now_s is None else output.schedule.at(now_s)[0], level)
        self.look()

    def follow(self, name, given):
        """A schedule from now on, or None for the level that was set. Raises OutputError."""
        output = self._named(name)
        try:
            output.schedule = None if given is None else Schedule(given)
        except ScheduleError as error:
            raise OutputError(str(error))
        output.override = None
        self._save()
        self.look()

    # ---- what happens

    async def run(self, motion=()):
        """Follow schedules and motion for ever; `motion` are rows of (flag, driver with `moving`)."""
        watching = [asyncio.create_task(self._watch(flag)) for flag, _ in motion]
        try:
            while True:
                if any(driver.moving for _, driver in motion):
                    self._moved_at = self._clock.up()
                self.look()
                try:
                    await asyncio.wait_for_ms(self._wake.wait(), LOOK_MS)
                except asyncio.TimeoutError:
                    continue
                self._wake.clear()
        finally:
            for task in watching:
                task.cancel()

    def look(self):
        """Drive every output as it should be now."""
        now_s, lux = self._now_s(), self._lux()
        quiet = None if self._moved_at is None else self._clock.up() - self._moved_at
        changed = {}
        for output in self._outputs.values():
            if output.drive(output.wanted(now_s, lux, quiet)) and output.key:
                changed[output.key] = output.level
        if changed:
            self._told(changed)

    def values(self):
        """The levels that a report tells."""
        return {output.key: output.level for output in self._outputs.values() if output.key}

    async def _watch(self, flag):
        while True:
            await flag.wait()
            self._moved_at = self._clock.up()
            self._wake.set()

    def _named(self, name):
        if name not in self._outputs:
            raise OutputError("no output is called " + str(name)[:32])
        return self._outputs[name]

    def _now_s(self):
        t, _ = self._clock.now()
        return None if t is None else t // 1000

    # ---- what is kept

    def _load(self):
        try:
            with open(self._path) as file:
                kept = json.load(file)
            for name, found in kept.items():
                if name in self._outputs:
                    self._outputs[name].fixed = found["level"]
                    if found["schedule"] is not None:
                        self._outputs[name].schedule = Schedule(found["schedule"])
        except OSError:
            pass  # nothing was ever ordered
        except (ValueError, KeyError, TypeError, AttributeError):
            self.damaged = True

    def _save(self):
        kept = {
            name: {"level": one.fixed, "schedule": None if one.schedule is None else one.schedule.given}
            for name, one in self._outputs.items()
        }
        with open(self._path + ".new", "w") as file:
            json.dump(kept, file)
        os.rename(self._path + ".new", self._path)
