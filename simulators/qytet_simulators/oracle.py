"""What the simulators really made, written down before it is sent: the truth that tests compare the database with.

An oracle is a file of JSON lines, append-only. The first line is ``{"kind":"oracle","version":1}``; then, in the order
in which things happened, lines of four kinds (``wall`` is the writer's clock, Unix ms)::

    {"kind":"record","device":"tirana-air-01","boot":"9f3a01c2","seq":1042,"t":1789000000000,"up":183000,"tq":"ntp",
     "m":{"pm2_5":12.3},"wall":1789000000004,"fate":"stored"}
                        a device accepted a record; t is null before its clock was set; fate is what must become of it:
                        "stored"       each of its values is a row at t
                        "undated"      it waits for a record of its boot that has a time,
                                       then its rows are at that one's t - up + its own up
                        "dead_letter"  the server must refuse it (its clock says next week)
    {"kind":"resent","device":…,"boot":…,"seq":…,"wall":…,"fate":"duplicate"}
                        a record was sent again on purpose: nothing may be stored twice
    {"kind":"garbage","device":…,"topic":"obs","payload":"<base64>","wall":…,"fate":"dead_letter"}
                        bytes that nobody understands
    {"kind":"dropped","device":…,"boot":…,"seq":…,"wall":…}
                        the device's memory was full and it gave up a record, which may or may not have arrived

Each line is one unbuffered write, so that it outlives a SIGKILL of the writer; ``sync`` makes it outlive a power cut.
A line cut short by a crash is ignored by the reader and cut off by the next writer. Reading streams; only the
boots' anchors and the dropped records are kept in memory.
"""

import os
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self, TypeAlias

import msgspec

from qytet.errors import InputError
from qytet_contract.records import TIME_CEILING, TIME_FLOOR
from qytet_simulators.faults.actions import Record, SendGarbage

__all__ = [
    "Accepted",
    "Dropped",
    "Entry",
    "Garbage",
    "OracleError",
    "OracleWriter",
    "Resent",
    "Row",
    "count",
    "expected_rows",
    "fate_of",
    "read",
]

SERVICE_START_MS = 1_704_067_200_000
"""2024-01-01T00:00Z: readings from before a device's service are refused."""
AHEAD_MS = 300_000
"""How far ahead of the server's clock a record may lie (the server's default)."""
_VERSION = 1


class OracleError(InputError):
    """A file is no oracle, or not one of this version."""


class Header(msgspec.Struct, frozen=True, tag_field="kind", tag="oracle"):
    """The first line."""

    version: int


class Accepted(msgspec.Struct, frozen=True, tag_field="kind", tag="record"):
    """A record that a device accepted."""

    device: str
    boot: str
    seq: int
    t: int | None
    up: int
    tq: str
    m: dict[str, int | float | None]
    wall: int
    fate: str


class Resent(msgspec.Struct, frozen=True, tag_field="kind", tag="resent"):
    """A record that was sent again on purpose."""

    device: str
    boot: str
    seq: int
    wall: int
    fate: str = "duplicate"


class Garbage(msgspec.Struct, frozen=True, tag_field="kind", tag="garbage"):
    """A malformed message."""

    device: str
    topic: str
    payload: bytes
    wall: int
    fate: str = "dead_letter"


class Dropped(msgspec.Struct, frozen=True, tag_field="kind", tag="dropped"):
    """A record that its device gave up."""

    device: str
    boot: str
    seq: int
    wall: int


Entry: TypeAlias = Accepted | Resent | Garbage | Dropped
_LINE = msgspec.json.Decoder(Header | Accepted | Resent | Garbage | Dropped)
_ENCODER = msgspec.json.Encoder()


@dataclass(frozen=True, slots=True)
class Row:
    """One value that the database must hold; None stands for a value that was measured but could not be had.

    ``also`` is empty but for a record that was made without a time in a boot whose clock then contradicted itself:
    the row may equally stand at one of these instants, depending on which anchor the server met first.
    """

    device: str
    key: str
    t_ms: int
    value: int | float | None
    also: tuple[int, ...] = ()


def fate_of(record: Record, now_ms: int, ahead_ms: int = AHEAD_MS) -> str:
    """What a server must do with a record that reaches it about ``now_ms``."""
    if record.t is None:
        return "undated"
    too_early = record.t < max(SERVICE_START_MS, TIME_FLOOR)
    return "dead_letter" if too_early or record.t >= min(now_ms + ahead_ms, TIME_CEILING) else "stored"


class OracleWriter:
    """Appends to an oracle; made new, or continued after its last whole line."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("ab", buffering=0)
        end = _last_whole_line(path)
        self._file.truncate(end)
        if end == 0:
            self._write(Header(_VERSION))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def accepted(self, records: Iterable[Record], wall_ms: int, ahead_ms: int = AHEAD_MS) -> None:
        """Write records that devices have accepted, before any of them is sent."""
        self._write(
            *(
                Accepted(
                    one.device,
                    one.boot,
                    one.seq,
                    one.t,
                    one.up,
                    one.tq,
                    one.m,
                    wall_ms,
                    fate_of(one, wall_ms, ahead_ms),
                )
                for one in records
            )
        )

    def resent(self, record: Record, wall_ms: int) -> None:
        """Write that a record goes out again."""
        self._write(Resent(record.device, record.boot, record.seq, wall_ms))

    def garbage(self, message: SendGarbage, wall_ms: int) -> None:
        """Write that a malformed message goes out."""
        self._write(Garbage(message.device, message.kind, message.payload, wall_ms))

    def dropped(self, device: str, boot: str, seq: int, wall_ms: int) -> None:
        """Write that a device gave up a record that it had accepted."""
        self._write(Dropped(device, boot, seq, wall_ms))

    def sync(self) -> None:
        """Make what is written outlive a power cut."""
        os.fsync(self._file.fileno())

    def close(self) -> None:
        """Sync and close."""
        if not self._file.closed:
            self.sync()
            self._file.close()

    def _write(self, *entries: Header | Entry) -> None:
        text = _ENCODER.encode_lines(entries)
        if text and self._file.write(text) != len(text):
            raise OSError(f"{self._file.name}: only part of a line could be written; is the disk full?")


def read(*paths: Path) -> Iterator[Entry]:
    """The entries of oracles, one file after the other.

    Raises:
        OracleError: a file is no oracle, of another version, or has a broken line before its last.
    """
    for path in paths:
        yield from _read_one(path)


def expected_rows(*paths: Path) -> Iterator[Row]:
    """Every value that the database must hold, and no other.

    Left out are dead letters, records that were dropped (they may be there or not), and undated records of boots
    that never learnt the time.
    """
    anchors, dropped = _survey(paths)
    for entry in read(*paths):
        if not isinstance(entry, Accepted) or entry.fate == "dead_letter":
            continue
        if (entry.device, entry.boot, entry.seq) in dropped:
            continue
        if entry.t is not None:
            instants = [entry.t]
        else:
            instants = [began + entry.up for began in anchors.get((entry.device, entry.boot), ())]
        if instants:
            first, *also = instants
            for key, value in entry.m.items():
                yield Row(entry.device, key, first, value, tuple(also))


def count(*paths: Path) -> Counter[str]:
    """How many records, values and messages of each fate: ``records``, ``values``, ``stored``, ``undated``, ..."""
    found: Counter[str] = Counter()
    for entry in read(*paths):
        if isinstance(entry, Accepted):
            found["records"] += 1
            found["values"] += len(entry.m)
            found[entry.fate] += 1
        else:
            found[type(entry).__name__.lower()] += 1
    return found


def _survey(paths: tuple[Path, ...]) -> tuple[dict[tuple[str, str], list[int]], set[tuple[str, str, int]]]:
    """When each boot began by its own clock, every answer that it gave in order of seq; and what was dropped."""
    answers: dict[tuple[str, str], dict[int, int]] = {}
    dropped: set[tuple[str, str, int]] = set()
    for entry in read(*paths):
        if isinstance(entry, Dropped):
            dropped.add((entry.device, entry.boot, entry.seq))
        elif isinstance(entry, Accepted) and entry.t is not None and entry.fate == "stored":
            began = answers.setdefault((entry.device, entry.boot), {})
            began[entry.t - entry.up] = min(entry.seq, began.get(entry.t - entry.up, entry.seq))
    return {boot: sorted(began, key=lambda at: began[at]) for boot, began in answers.items()}, dropped


def _read_one(path: Path) -> Iterator[Entry]:
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            if not line.endswith(b"\n"):
                return  # cut short by a crash, so never sent
            try:
                entry = _LINE.decode(line)
            except msgspec.MsgspecError as error:
                raise OracleError(f"{path}, line {number}: this is no oracle.", why=str(error)) from error
            if isinstance(entry, Header):
                if entry.version != _VERSION:
                    raise OracleError(f"{path} is an oracle of version {entry.version}, not {_VERSION}.")
                continue
            yield entry


def _last_whole_line(path: Path) -> int:
    """Length of the file up to its last line break."""
    with path.open("rb") as file:
        end = file.seek(0, os.SEEK_END)
        while end > 0:
            start = max(0, end - 65536)
            file.seek(start)
            cut = file.read(end - start).rfind(b"\n")
            if cut >= 0:
                return start + cut + 1
            end = start
    return 0
