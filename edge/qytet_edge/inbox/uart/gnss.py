"""A satellite receiver as a source: it makes no readings, but offers the clock its time and shows its place."""

import asyncio
from collections.abc import Callable, Mapping, Sequence

from qytet_edge.inbox.uart.config import Config
from qytet_edge.inbox.uart.nmea import Sentences
from qytet_edge.inbox.uart.port import Port
from qytet_edge.ports import Sink

__all__ = ["Receiver"]

_BAUD = 9600
_SILENCES = 4


class Receiver:
    """One receiver on one port; `offer` is called with Unix ms at each valid RMC, true at the moment of the call."""

    def __init__(self, config: Config, offer: Callable[[int], None]) -> None:
        self.name = config.name
        self.streams: Mapping[str, Sequence[str]] = {}
        self.deadline_s = max(60.0, _SILENCES * config.silent_s)
        self._config = config
        self._offer = offer
        self._sentences = Sentences()

    def state(self) -> dict[str, float | int | str | None]:
        """For the status: the last fix; degrees, and metres above sea level."""
        fix = self._sentences.fix
        return {
            "fix": int(fix.valid),
            "latitude": fix.latitude,
            "longitude": fix.longitude,
            "altitude": fix.altitude,
            "satellites": fix.satellites,
            "sentences_good": self._sentences.good,
            "sentences_bad": self._sentences.bad,
        }

    async def run(self, sink: Sink) -> None:
        """Listen until cancelled. Raises OSError if the port is not there, busy, or unplugged."""
        self._sentences.clear()
        async with Port(self._config.port, self._config.baud or _BAUD) as port:
            while True:
                await self._hear(port, sink)

    async def _hear(self, port: Port, sink: Sink) -> None:
        good, bad = self._sentences.good, self._sentences.bad
        try:
            async with asyncio.timeout(self._config.silent_s):
                while self._sentences.good == good:
                    self._take(await port.read())
        except TimeoutError:
            sink.trouble(f"no good sentence for {self._config.silent_s:g} s")
        else:
            sink.beat()
        if self._sentences.bad > bad:
            sink.trouble(f"bad sentences: {self._sentences.bad - bad}")

    def _take(self, data: bytes) -> None:
        fixes = self._sentences.feed(data)
        # Only the last: what waited longer in the port is too old to set a clock by.
        if fixes and fixes[-1].t_ms is not None:
            self._offer(fixes[-1].t_ms + self._config.delay_ms)
