"""The windows of all boots that the spool holds or the line carries, kept in step with the spool."""

import random
from collections.abc import Callable, Iterator

from qytet_edge.uplink.manners import Manners
from qytet_edge.uplink.store import Store
from qytet_edge.uplink.window import Window

__all__ = ["Windows"]


class Windows:
    """One window a boot; as many as the spool has boots with something unmarked, and those just sent live."""

    def __init__(self, store: Store, manners: Manners, clock: Callable[[], float]) -> None:
        self._store = store
        self._manners = manners
        self._clock = clock
        self._dice = random.Random()  # noqa: S311 (spreads load, guards nothing)
        self._windows: dict[tuple[str, str], Window] = {}
        self._turn = 0
        self.looked_at = -1e9

    def __iter__(self) -> Iterator[Window]:
        return iter(list(self._windows.values()))

    @property
    def unsent(self) -> int:
        """Records that wait for their turn."""
        return sum(window.unsent for window in self._windows.values())

    @property
    def outstanding(self) -> int:
        """Records that were sent and are not marked."""
        return sum(window.outstanding for window in self._windows.values())

    def unconfirmed(self) -> dict[str, tuple[int, float]]:
        """Devices that the city owes a mark, the longest first: records held or on their way, seconds of waiting."""
        now, found = self._clock(), dict[str, tuple[int, float]]()
        for window in self._windows.values():
            if window.asked_at < now:
                records, since_s = found.get(window.device, (0, 0.0))
                waiting = max(window.held, window.outstanding)
                found[window.device] = records + waiting, max(since_s, now - window.asked_at)
        return dict(sorted(found.items(), key=lambda one: -one[1][1]))

    def find(self, device: str, boot: str) -> Window | None:
        """The window of a boot, if it has one."""
        return self._windows.get((device, boot))

    def of(self, device: str, boot: str) -> Window:
        """The window of a boot, made if need be."""
        found = self._windows.get((device, boot))
        if found is None:
            found = self._windows[device, boot] = Window(device, boot, self._manners, self._dice)
        return found

    async def look(self) -> None:
        """Learn what the spool holds."""
        self.looked_at = self._clock()
        seen = set()
        for held in await self._store.held():
            seen.add((held.device, held.boot))
            window = self.of(held.device, held.boot)
            window.look(lowest=held.lowest, highest=held.highest, held=held.count, mark=held.mark, lo=held.lo)
        for key in [key for key in self._windows if key not in seen]:
            self._windows[key].look_nothing()
            if self._windows[key].idle:
                del self._windows[key]

    def tick(self) -> None:
        """Let time pass for all."""
        now = self._clock()
        for window in self._windows.values():
            window.tick(now)

    def reconnected(self) -> None:
        """A new connection stands."""
        now = self._clock()
        for window in self._windows.values():
            window.reconnected(now)

    def in_turn(self) -> list[Window]:
        """All windows, each time beginning with another one: no boot waits for ever behind a stuck one."""
        windows = list(self._windows.values())
        self._turn += 1
        at = self._turn % len(windows) if windows else 0
        return windows[at:] + windows[:at]
