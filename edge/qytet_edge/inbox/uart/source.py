"""A sensor on a serial line as a source: listen, discard the warm-up, and report the mean."""

import asyncio
import time
from collections.abc import Mapping, Sequence

from qytet_edge.inbox.together import together
from qytet_edge.inbox.uart import mhz19
from qytet_edge.inbox.uart.config import SENSORS, Config
from qytet_edge.inbox.uart.port import Port
from qytet_edge.inbox.window import Window
from qytet_edge.ports import Sink
from qytet_edge.records import Reading

__all__ = ["SerialSensor"]

_TELL_AGAIN_S = 3.0
"""Frames that were under way when it was told to sleep are no reason to tell it again."""


class SerialSensor:
    """One sensor on one port. A port that is absent or goes away raises OSError: the supervisor begins again."""

    def __init__(self, config: Config, device: str) -> None:
        self.name = config.name
        self._config = config
        self._sensor = SENSORS[config.sensor]
        self._device = device
        suffix = f":{config.channel}" if config.channel else ""
        self._keys = {key: key + suffix for key in self._sensor.keys}
        self.streams: Mapping[str, Sequence[str]] = {device: tuple(self._keys.values())}
        self._frames = self._sensor.frames()
        self._window = Window()
        self._awake: float | None = None
        """Monotonic time since which it measures; None while it sleeps."""
        self._told_to_sleep = 0.0
        self._silent_s = max(config.silent_s, 3 * config.poll_s if self._sensor.ask else 0.0)
        self.deadline_s = config.every_s + config.warm_s + max(60.0, 4 * self._silent_s)
        self._good = 0
        self._last_n = 0

    def state(self) -> dict[str, float | int | str | None]:
        """For the status: frames since the start, and how many made up the last report."""
        return {
            "frames_good": self._good,
            "frames_bad": self._frames.bad,
            "bytes_skipped": self._frames.skipped,
            "frames_in_last_report": self._last_n,
            "sleeping": int(self._awake is None),
        }

    async def run(self, sink: Sink) -> None:
        """Read and put, until cancelled. Raises OSError if the port is not there, busy, or unplugged."""
        self._frames.clear()
        self._window.clear()
        async with Port(self._config.port, self._config.baud or self._sensor.baud) as port:
            tasks = [
                self._listen(port, sink),
                self._cycle(port, sink) if self._config.cycles else self._report(sink),
            ]
            if self._sensor.ask:
                tasks.append(self._ask(port))
            self._start(port)
            await together(*tasks)

    def _start(self, port: Port) -> None:
        """Wake it (it may sleep since our last life) and set it up."""
        if self._sensor.wake:
            port.send(self._sensor.wake)
        for command in self._sensor.setup:
            port.send(command)
        if self._config.self_calibration is not None:
            port.send(mhz19.SELF_CALIBRATION[self._config.self_calibration])
        self._awake = time.monotonic()

    async def _listen(self, port: Port, sink: Sink) -> None:
        heard = time.monotonic()
        while True:
            try:
                async with asyncio.timeout(self._silent_s):
                    data = await port.read()
            except TimeoutError:
                data = b""
            if self._count(data, port, sink):
                heard = time.monotonic()
            elif self._awake is not None and time.monotonic() - max(heard, self._awake) >= self._silent_s:
                heard = time.monotonic()
                self._silent(port, sink)

    def _silent(self, port: Port, sink: Sink) -> None:
        """It may have lost its supply, so it is told again what to do, and warms up anew."""
        sink.trouble(f"no good frame for {self._silent_s:g} s", device=self._device)
        self._frames.clear()
        self._start(port)

    def _count(self, data: bytes, port: Port, sink: Sink) -> bool:
        """Take in what came; true if there was a measurement among it."""
        bad = self._frames.bad
        said = [
            values for frame in self._frames.feed(data) if (values := self._sensor.values(frame)) is not None
        ]
        if self._frames.bad > bad:
            sink.trouble(f"bad frames: {self._frames.bad - bad}", device=self._device)
        self._good += len(said)
        if not said:
            return False
        if self._awake is None:
            if time.monotonic() - self._told_to_sleep >= _TELL_AGAIN_S:
                self._send_to_sleep(port)  # it missed the command, or was switched off and on
            return False
        sink.beat()
        if time.monotonic() - self._awake >= self._config.warm_s:
            for values in said:
                self._window.add({self._keys[key]: value for key, value in values.items()})
        return True

    async def _report(self, sink: Sink) -> None:
        due = time.monotonic()
        while True:
            due = max(due + self._config.every_s, time.monotonic())
            await _until(due)
            await self._put(sink)

    async def _cycle(self, port: Port, sink: Sink) -> None:
        """Warm up, measure, sleep; the first report comes after the first measuring."""
        due = time.monotonic()
        try:
            while True:
                await _until(time.monotonic() + self._config.warm_s + self._config.sample_s)
                self._send_to_sleep(port)
                await self._put(sink)
                due = max(due + self._config.every_s, time.monotonic())
                await _until(due)
                self._start(port)
        finally:  # nobody reads it any more: spare its laser; if the port is gone this changes nothing
            self._send_to_sleep(port)

    def _send_to_sleep(self, port: Port) -> None:
        self._awake = None
        self._told_to_sleep = time.monotonic()
        port.send(self._sensor.sleep)

    async def _put(self, sink: Sink) -> None:
        self._last_n = self._window.n
        if values := self._window.take():
            await sink.put([Reading(self._device, values)])

    async def _ask(self, port: Port) -> None:
        while True:
            port.send(self._sensor.ask)
            await asyncio.sleep(self._config.poll_s)


async def _until(due: float) -> None:
    await asyncio.sleep(due - time.monotonic())
