"""A contact as a source: each change that stands, and a sign now and then that nothing changed."""

import asyncio
from collections import deque
from collections.abc import Mapping, Sequence

from qytet_edge.inbox.gpio import InputPin, Pins
from qytet_edge.inbox.pins.config import ContactConfig
from qytet_edge.inbox.together import together
from qytet_edge.ports import Sink
from qytet_edge.records import Reading

__all__ = ["Contact"]

_CHATTER_S = 1.0
_LAST_WORD_S = 2.0
_WAITING = 256
"""Changes that wait for the disk; older ones give way."""


class Contact:
    """Watches one pin. A change is told when it has stood for the debounce time; the first state at once."""

    def __init__(self, config: ContactConfig, device: str, factory: Pins) -> None:
        self.name = config.name
        self._config = config
        self._device = device
        self._factory = factory
        self.streams: Mapping[str, Sequence[str]] = {device: (config.key,)}
        self._beat_s = min(config.heartbeat_s, 60.0)
        self.deadline_s = 60.0 + 2 * self._beat_s
        self._puts: deque[asyncio.Task[None]] = deque()
        self._lost = 0
        self._last: int | None = None

    def state(self) -> dict[str, float | int | str | None]:
        """For the status: the state last seen, and changes given up while the disk was full."""
        return {"state": self._last, "lost": self._lost}

    async def run(self, sink: Sink) -> None:
        """Watch and put, until cancelled. Raises OSError if the pin cannot be used."""
        self._loop = asyncio.get_running_loop()
        self._edge, self._news = asyncio.Event(), asyncio.Event()
        config = self._config
        what = f"source {config.name}"
        pin = await asyncio.to_thread(
            lambda: InputPin(what, self._factory(), config.pin, config.pull, active_high=config.active_high)
        )
        try:
            pin.watch(self._changed)
            self._see(pin, sink)
            await together(self._watch(pin, sink), self._tell(sink))
        finally:
            pin.close()
            await self._give_up()

    def _changed(self, _seconds: float, _level: int) -> None:
        """An edge, in gpiozero's thread."""
        self._loop.call_soon_threadsafe(self._edge.set)

    async def _watch(self, pin: InputPin, sink: Sink) -> None:
        while True:
            await self._edge.wait()
            if not await self._settled():
                sink.trouble(f"the contact chatters for {_CHATTER_S:g} s", device=self._device)
            if self._value(pin) != self._last:
                self._see(pin, sink)

    async def _settled(self) -> bool:
        """Wait for the debounce time without an edge; false if that does not come."""
        try:
            async with asyncio.timeout(max(_CHATTER_S, 2 * self._config.debounce_ms / 1000)):
                while self._edge.is_set():
                    self._edge.clear()
                    await self._quiet()
        except TimeoutError:
            return False
        return True

    async def _quiet(self) -> None:
        try:
            async with asyncio.timeout(self._config.debounce_ms / 1000):
                await self._edge.wait()
        except TimeoutError:
            pass

    def _value(self, pin: InputPin) -> int:
        return int(pin.active != self._config.invert)

    def _see(self, pin: InputPin, sink: Sink) -> None:
        self._last = self._value(pin)
        self._put(sink, self._last)

    def _put(self, sink: Sink, state: int) -> None:
        """Put a state at once, so that it bears the time of now, however long the disk makes it wait."""
        while len(self._puts) >= _WAITING:
            self._lost += 1
            self._puts.popleft().cancel()
        reading = Reading(self._device, {self._config.key: state})
        self._puts.append(asyncio.ensure_future(sink.put([reading])))
        self._news.set()

    async def _give_up(self) -> None:
        """Leave what changed last a moment to be kept, unless the disk takes too long."""
        puts, self._puts = list(self._puts), deque()
        try:
            if puts:
                await asyncio.wait(puts, timeout=_LAST_WORD_S)
        finally:
            for put in puts:
                put.cancel()
            await asyncio.gather(*puts, return_exceptions=True)

    async def _tell(self, sink: Sink) -> None:
        """See to it that what was put is kept, and tell the state again if it has long been the same."""
        due = self._loop.time() + self._config.heartbeat_s
        while True:
            try:
                async with asyncio.timeout(min(self._beat_s, max(0.0, due - self._loop.time()))):
                    await self._news.wait()
            except TimeoutError:
                if self._loop.time() >= due and self._last is not None:
                    self._put(sink, self._last)
                sink.beat()
            self._news.clear()
            while self._puts:
                await asyncio.wait({put := self._puts[0]})
                if self._puts and self._puts[0] is put:
                    self._puts.popleft()
                if not put.cancelled():
                    put.result()
                due = self._loop.time() + self._config.heartbeat_s
