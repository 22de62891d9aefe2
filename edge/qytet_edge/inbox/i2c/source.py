"""A chip on an I2C bus as a source: sample, start anew after a fault, and report the mean."""

import asyncio
import contextlib
import json
import threading
import time
from collections.abc import Mapping, Sequence

from qytet_edge.inbox.i2c.bus import LinuxBus, Sample
from qytet_edge.inbox.i2c.config import Config, driver
from qytet_edge.inbox.i2c.sps30 import Sps30
from qytet_edge.inbox.together import together
from qytet_edge.inbox.window import Window
from qytet_edge.ports import Sink
from qytet_edge.records import Checkpoint, Reading

__all__ = ["ChipSource"]

_DAY_S = 86400
_CLEANING_S = 15.0  # SPS30: 10 s of full fan, and the air must settle
_CLOSE_S = 3.0
_PATIENCE_S = 30.0


class ChipSource:
    """One chip. A bus that is absent raises OSError; a chip that does not answer is trouble and is tried again."""

    def __init__(self, config: Config, device: str) -> None:
        self.name = config.name
        self._config = config
        self._device = device
        self._halt = threading.Event()
        self._chip = driver(config, self._pause)
        suffix = f":{config.channel}" if config.channel else ""
        self._keys = {key: key + suffix for key in self._chip.keys}
        self.streams: Mapping[str, Sequence[str]] = {device: tuple(self._keys.values())}
        self._settle_s = self._chip.settle_s if config.settle_s is None else config.settle_s
        self.deadline_s = config.report_s + self._settle_s + max(60.0, 10 * config.every_s)
        self._window = Window()
        self._lock = threading.Lock()
        self._started: float | None = None
        """Monotonic time of the last start; None: it must be started."""
        self._measured_s = 0.0
        self._heard = 0.0
        self._patience_s = max(_PATIENCE_S, 5 * config.every_s)
        self._good = self._bad = self._last_n = 0

    def state(self) -> dict[str, float | int | str | None]:
        """For the status: samples since the start, and how many made up the last report."""
        return {"samples_good": self._good, "samples_bad": self._bad, "samples_in_last_report": self._last_n}

    async def run(self, sink: Sink) -> None:
        """Sample and put, until cancelled. Raises OSError if the bus is not there."""
        self._halt.clear()
        self._window.clear()
        self._heard = time.monotonic()
        self._restore(await sink.checkpoint(self.name))
        bus = await asyncio.to_thread(LinuxBus, self._config.path)
        try:
            await together(self._measure(bus, sink), self._report(sink))
        finally:
            self._halt.set()
            with contextlib.suppress(TimeoutError):  # a bus that hangs is closed when it comes back
                async with asyncio.timeout(_CLOSE_S):
                    await asyncio.to_thread(self._end, bus)

    def _pause(self, seconds: float) -> None:
        """What the data sheets make us wait, in the chip's thread; over at once when the source ends."""
        self._halt.wait(seconds)

    async def _measure(self, bus: LinuxBus, sink: Sink) -> None:
        due = time.monotonic()
        while True:
            try:
                sample = await asyncio.to_thread(self._sample, bus)
            except OSError as error:
                self._bad += 1
                sink.trouble(str(error), device=self._device)
            else:
                self._take(sample, sink)
            due = max(due + self._config.every_s, time.monotonic())
            await asyncio.sleep(due - time.monotonic())

    def _sample(self, bus: LinuxBus) -> Sample:
        with self._lock:
            if self._halt.is_set():
                return Sample({})
            try:
                if self._started is None:
                    self._chip.start(bus)
                    self._started = time.monotonic()
                self._clean(bus)
                return self._chip.sample(bus)
            except OSError:
                self._started = None
                raise

    def _take(self, sample: Sample, sink: Sink) -> None:
        for wrong in sample.wrong:
            sink.trouble(wrong, device=self._device)
        if not sample.values or self._started is None:
            self._unready(sink)
            return
        self._good += 1
        self._heard = time.monotonic()
        self._measured_s += self._config.every_s
        sink.beat()
        if time.monotonic() - self._started >= self._settle_s:
            self._window.add({self._keys[key]: value for key, value in sample.values.items()})

    def _unready(self, sink: Sink) -> None:
        """Between two samples a chip may have nothing new; for long it may not, so it is started anew."""
        if time.monotonic() - self._heard >= self._patience_s:
            self._heard = time.monotonic()
            self._started = None
            sink.trouble(
                f"it answers, but has measured nothing for {self._patience_s:g} s", device=self._device
            )

    def _clean(self, bus: LinuxBus) -> None:
        """Blow the fan of an SPS30 out, and let no sample count until the air is still again."""
        if isinstance(self._chip, Sps30) and self._measured_s >= self._config.clean_days * _DAY_S:
            self._chip.clean(bus)
            self._measured_s = 0.0
            self._started = time.monotonic() + _CLEANING_S - self._settle_s

    async def _report(self, sink: Sink) -> None:
        due = time.monotonic()
        while True:
            due = max(due + self._config.report_s, time.monotonic())
            await asyncio.sleep(due - time.monotonic())
            self._last_n = self._window.n
            if values := self._window.take():
                await sink.put([Reading(self._device, values)], self._kept())

    def _kept(self) -> Checkpoint | None:
        if not isinstance(self._chip, Sps30):
            return None
        return Checkpoint(self.name, json.dumps({"measured_s": self._measured_s}).encode())

    def _restore(self, state: bytes | None) -> None:
        """How long the fan has run since it was blown out; if that cannot be read, it is blown out a week later."""
        with contextlib.suppress(ValueError, KeyError, TypeError):
            if state is not None:
                self._measured_s = max(self._measured_s, float(json.loads(state)["measured_s"]))

    def _end(self, bus: LinuxBus) -> None:
        """Stop the chip and close the bus, after what is under way."""
        with self._lock, bus, contextlib.suppress(OSError):
            if self._started is not None:
                self._started = None
                self._chip.stop(bus)
