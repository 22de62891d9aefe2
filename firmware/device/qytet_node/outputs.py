"""Lamps and relays: what they should do, by command, by schedule, by motion; with or without a network.

a level that was set         holds for ever, or where there is a schedule until its next step
a schedule (`schedule.py`)   by the time; kept on flash, so that it is followed after a restart without a network
motion                       raises the level of a lamp that is on, as its schedule says
"""

import asyncio

from qytet_node.lent import lent

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
        self._clock, self.path, self._lux, self._told = clock, path, lux, told
        self.every = {row["name"]: Output(row, hardware) for row in rows}
        self._moved_at = None
        self.damaged = False
        lent("ordering").load(self)

    # ---- commands

    def set(self, name, level):
        """A level in %; where there is a schedule it holds until the next step. Raises OutputError."""
        lent("ordering").set_level(self, name, level)

    def follow(self, name, given):
        """A schedule from now on, or None for the level that was set. Raises OutputError."""
        lent("ordering").follow(self, name, given)

    # ---- what happens

    async def run(self, motion=()):
        """Follow schedules and motion for ever; `motion` are rows of (flag, driver with `moving`)."""
        watching = [asyncio.create_task(self._watch(flag)) for flag, _ in motion]
        try:
            while True:
                if any(driver.moving for _, driver in motion):
                    self._moved_at = self._clock.up()
                self.look()
                await asyncio.sleep_ms(LOOK_MS)
                if any(task.done() for task in watching):
                    raise OSError("nobody watches motion any more")  # so that all begins anew
        finally:
            for task in watching:
                task.cancel()

    def look(self):
        """Drive every output as it should be now."""
        now_s, lux = self.now_s(), self._lux()
        quiet = None if self._moved_at is None else self._clock.up() - self._moved_at
        changed = {}
        for output in self.every.values():
            if output.drive(output.wanted(now_s, lux, quiet)) and output.key:
                changed[output.key] = output.level
        if changed:
            self._told(changed)

    def values(self):
        """The levels that a report tells."""
        return {output.key: output.level for output in self.every.values() if output.key}

    async def _watch(self, flag):
        while True:
            await flag.wait()
            self._moved_at = self._clock.up()
            self.look()

    def now_s(self):
        """Unix seconds, or None."""
        t, _ = self._clock.now()
        return None if t is None else t // 1000
