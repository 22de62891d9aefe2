"""Hours of a node's life in which everything fails that can, by a seed; what is done when is decided beforehand."""

import random
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from littlefs import LittleFS

from tests.hardware.bench import BLOCK, filesystem
from tests.nodes.street import Street

__all__ = ["Chaos", "Deed", "Storm", "plan"]

_BALLAST = "ballast"
_NEVER = 1 << 60
_LEAST_FREE = 6
"""Blocks that the ballast leaves: the file system itself needs some to work at all."""


@dataclass(frozen=True)
class Chaos:
    """How long (s of the board's time), by which seed, and how often each thing happens in an hour, about."""

    seed: int
    hours: float = 6.0
    power_cuts: float = 3.0
    wifi_losses: float = 2.0
    broker_restarts: float = 1.5
    ingest_kills: float = 1.0
    clock_steps: float = 1.0
    full_flashes: float = 0.35


@dataclass(frozen=True, order=True)
class Deed:
    """At `at` (s from the beginning) this is done; `lasts` is for how long, where it ends again."""

    at: float
    what: str
    lasts: float = 0.0
    luck: int = 0


def plan(chaos: Chaos) -> list[Deed]:
    """The deeds in order; the same seed gives the same. The update comes in the middle, a long outage after it."""
    luck = random.Random(chaos.seed)
    length = chaos.hours * 3600
    rates = {
        "power": (chaos.power_cuts, 5.0, 180.0),
        "wifi": (chaos.wifi_losses, 20.0, 900.0),
        "broker": (chaos.broker_restarts, 5.0, 400.0),
        "ingest": (chaos.ingest_kills, 1.0, 300.0),
        "clock": (chaos.clock_steps, 0.0, 0.0),
        "full": (chaos.full_flashes, 300.0, 900.0),
    }
    deeds = [Deed(length / 2, "update"), Deed(length * 0.6, "wifi", length / 4)]
    for what, (hourly, least, most) in rates.items():
        latest = length - most - 300
        deeds += [
            Deed(luck.uniform(60, latest), what, luck.uniform(least, most), luck.randrange(1 << 30))
            for _ in range(max(1, round(hourly * chaos.hours)))
        ]
    return sorted(deeds)


class Storm:
    """Carries the deeds out; `done` counts them. What ends in time ends beside what else happens."""

    def __init__(self, street: Street, order_update: Callable[[], None]) -> None:
        self.done: Counter[str] = Counter()
        self._street, self._board = street, street.board
        self._order_update = order_update
        self._ends: list[tuple[float, int, str]] = []
        self._away: Counter[str] = Counter()

    def play(self, deeds: list[Deed]) -> None:
        """All of them, then the last ends."""
        began = self._board.now_s()
        for number, deed in enumerate(deeds):
            self._pass(began + deed.at)
            self._do(deed)
            self.done[deed.what] += 1
            if deed.lasts:
                self._ends.append((began + deed.at + deed.lasts, number, deed.what))
                self._ends.sort()
        while self._ends:
            self._pass(self._ends[0][0])

    def _pass(self, until: float) -> None:
        """Time goes by; what ends meanwhile ends at its moment."""
        while self._ends and self._ends[0][0] <= until:
            at, _, what = self._ends.pop(0)
            self._run(at)
            self._end(what)
        self._run(until)

    def _run(self, until: float) -> None:
        """As `run_for`, but a board whose power went by a cut in its flash gets it back at the next step."""
        while (left := until - self._board.now_s()) > 0.001:
            self._street.run_for(min(left, 30.0))
            if not self._board.powered and not self._away["power"]:
                self._board.power_on()

    def _do(self, deed: Deed) -> None:
        getattr(self, f"_begin_{deed.what}")(deed)

    def _end(self, what: str) -> None:
        getattr(self, f"_end_{what}")()

    # ---- power: at once, or in the middle of the n-th operation on flash from now

    def _begin_power(self, deed: Deed) -> None:
        luck = random.Random(deed.luck)
        if luck.random() < 0.3:
            self._board.power_cut()
            self._away["power"] += 1
        else:
            self._board.power_cut(luck.randrange(1, 60), seed=deed.luck)

    def _end_power(self) -> None:
        if self._away["power"]:
            self._away["power"] -= 1
        if not self._away["power"]:
            self._board.power_on()

    # ---- the network and what is behind it

    def _begin_wifi(self, _deed: Deed) -> None:
        self._away["wifi"] += 1
        self._board.wifi_drop()

    def _end_wifi(self) -> None:
        self._away["wifi"] -= 1
        if not self._away["wifi"]:
            self._board.wifi_restore()

    def _begin_broker(self, _deed: Deed) -> None:
        self._away["broker"] += 1
        if self._away["broker"] == 1:
            self._street.watcher.deafen()
            self._street.broker.kill()

    def _end_broker(self) -> None:
        self._away["broker"] -= 1
        if not self._away["broker"]:
            self._street.broker.start()
            self._street.watcher.listen()

    def _begin_ingest(self, _deed: Deed) -> None:
        self._away["ingest"] += 1
        if self._away["ingest"] == 1:
            self._street.worker.kill()

    def _end_ingest(self) -> None:
        self._away["ingest"] -= 1
        if not self._away["ingest"]:
            self._street.worker.start()

    # ---- the clock of the time server, and the board's flash

    def _begin_clock(self, deed: Deed) -> None:
        luck = random.Random(deed.luck)
        step_ms = luck.choice((-1, 1)) * luck.randrange(3_000, 1_800_000)
        self._board.call(lambda: setattr(self._board.time_server, "offset_ms", step_ms))

    def _begin_full(self, _deed: Deed) -> None:
        self._away["full"] += 1
        with self._opened() as files:
            _fill(files)

    def _end_full(self) -> None:
        self._away["full"] -= 1
        if not self._away["full"]:
            with self._opened() as files:
                files.remove(_BALLAST)

    @contextmanager
    def _opened(self) -> Iterator[LittleFS]:
        """The board's files, while it has no power."""
        self._board.power_cut()
        self._street.flash.restore()
        self._street.flash.cut_after(_NEVER)  # a cut that was to come would strike the bench instead
        with filesystem(self._street.flash) as files:
            yield files
        if not self._away["power"]:
            self._board.power_on()

    def _begin_update(self, _deed: Deed) -> None:
        self._order_update()


def _fill(files: LittleFS) -> None:
    """Take all the room but a little."""
    assert files.context is not None
    blocks = files.fs_stat().block_count - files.used_block_count - _LEAST_FREE
    with files.open(_BALLAST, "wb") as file:
        file.write(bytes(max(blocks, 0) * BLOCK))
