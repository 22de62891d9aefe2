"""What the spool's tests share: a machine whose boots and clocks they set, records, and a look at everything kept."""

from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

from qytet_edge.records import Reading, Record, Relayed
from qytet_edge.spool import Host, Limits, Spool

NOW_MS = 1_789_000_000_000
ROOMY = Limits(spare_bytes=0)


@dataclass
class FakeHost(Host):
    """A machine that boots when the test says so."""

    linux: str = "linux-1"
    up: int = 10_000
    free: int = 1 << 40
    names: count = field(default_factory=lambda: count(1))

    def linux_boot(self) -> str:
        return self.linux

    def up_ms(self) -> int:
        return self.up

    def free_bytes(self, folder: Path) -> int:
        return self.free

    def new_boot(self) -> str:
        return f"{next(self.names):08x}"


def spool(folder: Path, limits: Limits = ROOMY, host: Host | None = None) -> Spool:
    """A spool in a folder, whose clock stands still."""
    return Spool(folder / "spool.db", limits, lambda: (NOW_MS, "ntp"), host=host)


def readings(count_: int, device: str = "meter", first: int = 0) -> list[Reading]:
    """Readings whose values count up from `first`."""
    return [Reading(device, {"grid_current": first + number}) for number in range(count_)]


def relayed(*numbers: int, boot: str = "0000000a", lo: int | None = None, value: int = 7) -> list[Relayed]:
    """Records of a node with these numbers."""
    text = b'{"pm10":%d}' % value
    return [Relayed("node", boot, number, NOW_MS, number, "ntp", text, lo) for number in numbers]


async def everything(kept: Spool) -> dict[tuple[str, str], list[Record]]:
    """All records of all numberings, read in small pieces."""
    found: dict[tuple[str, str], list[Record]] = {}
    for held in await kept.held():
        rows: list[Record] = []
        while piece := await kept.read(held.device, held.boot, rows[-1].seq if rows else 0, 97, 5_000):
            rows += piece
        found[held.device, held.boot] = rows
    return found


async def numbers(kept: Spool, device: str, boot: str) -> list[int]:
    """The numbers kept of one numbering."""
    return [record.seq for record in await kept.read(device, boot, 0, 100_000, 1 << 30)]
