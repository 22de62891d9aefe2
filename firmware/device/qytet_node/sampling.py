"""Measures: every sensor in a task of its own with a time limit and patience, so that a broken one stops no other.

    start -> warm up -> read, read, read …        after several failures: stop, wait, start anew
    with `duty`: start -> warm up -> read -> stop, and rest until the next one

Samples are gathered (`aggregate.py`) and every report interval makes one record of them.
"""

import asyncio

from qytet_node.aggregate import Window
from qytet_node.drivers.errors import ABSENT, BUSY, SensorError
from qytet_node.drivers.keys import same

START_MS = READ_MS = 10000
"""Longest exchange, unless the driver has a READ_MS of its own: a window of vibration lasts longer."""
FAILURES = 5
"""In a row, until a sensor is started anew."""
RETRY_FIRST_S, RETRY_LAST_S = 5, 300
MOST_VALUES = 64
"""Of one record (contract)."""
LOOK_MS = 1000
"""How soon another report interval is heard of: waiting for that with a limit takes a task, which is memory."""


class Sensor:
    """One driver and what is done with it; `spec` is a row of the profile.

    `warm`: the board was not without power, so that a sensor which is always `powered` need not warm up.
    """

    # What most sensors have lies in the class, once for all of them.
    errors = readings = 0
    last_error, absent = "", False
    _read_ms, _powered, _duty, channel, _at_once = 0, False, False, None, ()
    kept, latest = (), {}
    """Keys whose last values somebody asks for, and these values; the dictionary here stays empty."""

    def __init__(self, spec, driver, clock, warm=False):
        self.name = spec["name"]
        self.window = Window({same(key): same(rule) for key, rule in spec["keys"].items()})
        self.driver, self._clock = driver, clock
        self.every = max(int(spec["every_s"] * 1000), driver.MIN_INTERVAL_MS)
        if hasattr(driver, "READ_MS"):
            self._read_ms = driver.READ_MS
        if spec.get("powered"):
            self._powered = True
        self.warm_up = 0 if self._powered and warm else driver.WARM_UP_MS
        if spec.get("duty"):
            self._duty = True
        if spec.get("channel"):
            self.channel = spec["channel"]
        if spec.get("at_once"):
            self._at_once = self.kept = spec["at_once"]

    async def run(self, told=None):
        """Measure for ever; `told(values)` hears at once of values that changed, if the profile asks for that."""
        wait = RETRY_FIRST_S  # all in one function: each that waits within another takes memory, times all sensors
        while True:
            if await self._tried(self.driver.start, START_MS) is not None:
                self.absent = False
                await asyncio.sleep_ms(self.warm_up)
                if self._powered:
                    self.warm_up = 0
                failures = 0
                while failures < FAILURES:
                    began = self._clock.up()
                    values = await self._tried(self.driver.read, self._read_ms or READ_MS)
                    failures += 1
                    if values is not None:
                        failures, wait = 0, RETRY_FIRST_S
                        self._took(values, told)
                        values = None  # while it waits nobody needs them
                    left = self.every - (self._clock.up() - began)
                    if self._duty and left > self.warm_up:
                        await self._sleep(left)
                    else:
                        await asyncio.sleep_ms(max(left, 0))
                await self.stop()
            await asyncio.sleep_ms(int(wait * 1000))
            wait = min(wait * 2, RETRY_LAST_S)

    async def _sleep(self, left):
        """Let it rest until it must warm up for the next reading."""
        await self.stop()
        await asyncio.sleep_ms(left - self.warm_up)
        await self._tried(self.driver.start, START_MS)
        await asyncio.sleep_ms(self.warm_up)

    def _took(self, values, told):
        self.readings += 1
        if self.channel:
            values = {key + ":" + self.channel: value for key, value in values.items()}
        self.window.add(values)
        changed = {
            key: values[key] for key in self._at_once if key in values and self.latest.get(key) != values[key]
        }
        if self.kept:
            self.latest = {key: values[key] for key in self.kept if key in values}
        if changed and told is not None:
            told(changed)

    async def _tried(self, act, limit):
        """What it gives ({} for nothing), or None if it failed, which is counted."""
        try:
            return await asyncio.wait_for_ms(act(), limit) or {}
        except SensorError as error:
            if error.code != BUSY:  # that is no error yet, but five in a row are a sensor that hangs
                self._failed(str(error), error.code == ABSENT)
        except asyncio.TimeoutError:
            self._failed("timeout: it took more than " + str(limit) + " ms", False)
        except Exception as error:  # a driver's own mistake must not stop the others either
            self._failed(type(error).__name__ + ": " + str(error), False)
        return None

    def _failed(self, words, absent):
        self.errors += 1
        self.last_error = words
        self.absent = absent
        if not absent:
            self.window.miss()

    async def stop(self):
        """Let it rest; whatever it says to that."""
        try:
            await asyncio.wait_for_ms(self.driver.stop(), READ_MS)
        except Exception as error:
            self.last_error = "stopping: " + type(error).__name__


class Sampler:
    """All sensors, and the records that are made of what they measure: `record(m)` keeps one.

    `more()` gives values that every report tells beside them. `measured` counts the reports with a measured value.
    """

    def __init__(self, sensors, clock, record, report_s, more=dict):
        self.sensors, self.report_s, self._more = sensors, report_s, more
        self._clock, self._record = clock, record
        self._tasks = []
        self._due = 0
        self.progress_at = clock.up()
        self.measured = 0

    async def run(self):
        """Measure and report until cancelled."""
        self._tasks = [asyncio.create_task(sensor.run(self._record)) for sensor in self.sensors]
        try:
            await self._report()
        finally:
            for task in self._tasks:
                task.cancel()

    def set_interval(self, report_s):
        """Another report interval, from now on."""
        self.report_s = report_s
        self._due = self._clock.up() + report_s * 1000

    def latest(self, key):
        """The last value of a key that a sensor keeps, or None: for a driver that needs another's."""
        for sensor in self.sensors:
            if key in sensor.latest:
                return sensor.latest[key]
        return None

    async def _report(self):
        self.set_interval(self.report_s)
        while True:
            self.progress_at = now = self._clock.up()
            if now < self._due:  # in pieces: a long interval must look alive too, and may become another
                await asyncio.sleep_ms(min(self._due - now, LOOK_MS))
                continue
            self._due = max(self._due + self.report_s * 1000, now)
            self._tell()

    def _tell(self):
        m = {}
        for sensor in self.sensors:
            m.update(sensor.window.take())
        for value in m.values():
            if value is not None:
                self.measured += 1
                break
        m.update(self._more())
        keys = sorted(m)
        for start in range(0, len(keys), MOST_VALUES):
            self._record({key: m[key] for key in keys[start : start + MOST_VALUES]})
