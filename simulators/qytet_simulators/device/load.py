"""A bounded load of valid records: which devices, which values, encoded before the clock starts.

Device, sequence number and time of every record follow from its place alone, so that a test can say what the
database must hold without keeping it: record `n` of a device has seq `n + 1` and time `start_ms + n * step_ms`.
"""

import hashlib
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from itertools import islice
from typing import Any

from qytet.errors import InputError
from qytet_contract import records as rules
from qytet_contract import topics
from qytet_simulators.city.fleet import load_fleet
from qytet_simulators.device import wire
from qytet_simulators.device.describe import city_row, device_row, site_row
from qytet_simulators.device.record import Record, Value, hist_bytes, obs_bytes, row_bytes
from qytet_simulators.faults import Record as Stamped
from qytet_simulators.oracle import OracleWriter

__all__ = ["Load", "Parcel", "Part", "write_load"]

_PROPERTIES = ("pm2_5", "pm1", "pm10", "no2", "o3", "co")
_UP_AT_START = 60_000  # ms


@dataclass(frozen=True)
class Load:
    """`records` records of `readings` values by `devices` devices; `batch` > 1 sends so many in one `hist`.

    `run` names this load: boots and device names follow from it. Times end about now.
    """

    records: int
    devices: int = 100
    readings: int = 6
    batch: int = 1
    city: str = "tirana"
    run: str = "flood"
    step_ms: int = 1000
    start_ms: int = 0
    prefix: str = "flood"
    names: tuple[str, ...] = field(init=False)

    def __post_init__(self) -> None:
        """Raises InputError if the load cannot be sent as the contract demands."""
        self._check()
        object.__setattr__(self, "names", tuple(f"{self.prefix}-{n:05d}" for n in range(self.devices)))
        if not self.start_ms:
            object.__setattr__(
                self, "start_ms", int(time.time() * 1000) - self.rounds * self.batch * self.step_ms
            )

    @property
    def rounds(self) -> int:
        """Messages that each device sends; the last round may be sent by the first devices only."""
        return -(-self.messages // self.devices)

    @property
    def messages(self) -> int:
        """Messages in all: `records` rounded up to whole batches."""
        return -(-self.records // self.batch)

    @cached_property
    def keys(self) -> tuple[str, ...]:
        """The datastreams of each device."""
        rounds = range(-(-self.readings // len(_PROPERTIES)))
        keys = [f"{name}:c{number}" if number else name for number in rounds for name in _PROPERTIES]
        return tuple(keys[: self.readings])

    @cached_property
    def boots(self) -> tuple[str, ...]:
        """Each device's boot."""
        return tuple(
            hashlib.blake2b(f"{self.run}/{name}".encode(), digest_size=4).hexdigest() for name in self.names
        )

    def description(self) -> dict[str, list[dict[str, Any]]]:
        """The devices as `qytet device register` reads them, all at the city's first site."""
        fleet = load_fleet([self.city])
        site = fleet.sites[0]
        return {
            "cities": [city_row(fleet.cities[0])],
            "sites": [site_row(site)],
            "devices": [device_row(name, site, "load", self.keys) for name in self.names],
        }

    def record(self, device: int, n: int) -> Record:
        """Record `n` (from 0) of a device."""
        at = n * self.step_ms
        return Record(n + 1, self.start_ms + at, _UP_AT_START + at, "ntp", self.values(device, n))

    def values(self, device: int, n: int) -> dict[str, Value]:
        """What that record measured: moving, plausible for every property, short."""
        return {key: ((device * 7 + n * 13 + place * 3) % 200) / 10 for place, key in enumerate(self.keys)}

    def sent_by(self, device: int) -> int:
        """How many records a device sends."""
        own = self.messages // self.devices + (device < self.messages % self.devices)
        return own * self.batch

    def stamped(self) -> Iterator[Stamped]:
        """Every record as an oracle writes it."""
        for device, name in enumerate(self.names):
            for n in range(self.sent_by(device)):
                seq, t, up, tq, m = self.record(device, n)
                yield Stamped(name, self.boots[device], seq, t, up, tq, m, t or 0)

    def _check(self) -> None:
        if min(self.records, self.devices, self.batch, self.step_ms) < 1:
            raise InputError("A load needs at least one record, device and record a message.")
        if not 1 <= self.readings <= rules.MAX_VALUES:
            raise InputError(f"A record holds 1 to {rules.MAX_VALUES} readings, not {self.readings}.")
        if self.batch > rules.MAX_RECORDS:
            raise InputError(f"A message holds at most {rules.MAX_RECORDS} records, not {self.batch}.")


def write_load(oracle: OracleWriter, load: Load) -> None:
    """Write every record of a load to an oracle, in pieces of bounded size, before any is sent."""
    stamped = load.stamped()
    while piece := list(islice(stamped, 5000)):
        oracle.accepted(piece, int(time.time() * 1000))


@dataclass
class Parcel:
    """What one connection sends: PUBLISH packets, and the boots whose marks are awaited, with their last seqs."""

    name: str
    packets: list[bytes] = field(default_factory=list, repr=False)
    boots: tuple[str, ...] = ()
    last_seqs: tuple[int, ...] = ()
    filters: tuple[str, ...] = ()
    """Subscriptions that bring the marks."""
    records: int = 0
    readings: int = 0

    def positions_after(self, marks: list[int]) -> list[int]:
        """The packets that hold what lies above each boot's mark, in order; none here, as nothing is awaited."""
        assert not marks
        return []


class Part(Parcel):
    """A connection's share of a load: every one of its devices in turn.

    Packet `p` belongs to device `p % len(devices)` of the share, round `p // len(devices)`.
    """

    def __init__(self, load: Load, number: int, parts: int) -> None:
        devices = tuple(range(number, load.devices, parts))
        self._load = load
        last_seqs = tuple(load.sent_by(device) for device in devices)
        super().__init__(
            name=load.run,
            boots=tuple(load.boots[device] for device in devices),
            last_seqs=last_seqs,
            filters=(topics.topic(load.city, "+", topics.STORED),),
            records=sum(last_seqs),
            readings=sum(last_seqs) * load.readings,
        )
        for turn in range(load.rounds):
            for device in devices:
                if turn * load.batch < load.sent_by(device):
                    self.packets.append(self._packet(device, turn, len(self.packets)))

    def positions_after(self, marks: list[int]) -> list[int]:
        """The packets that hold what lies above each boot's mark, in order."""
        width, batch = len(self.boots), self._load.batch
        found = [
            turn * width + place
            for place, mark in enumerate(marks)
            for turn in range(mark // batch, self.last_seqs[place] // batch)
        ]
        return sorted(found)

    def _packet(self, device: int, turn: int, position: int) -> bytes:
        load, boot = self._load, self._load.boots[device]
        first = turn * load.batch
        if load.batch == 1:
            kind, payload = topics.OBS, obs_bytes(boot, load.record(device, first))
        else:
            rows = [row_bytes(load.record(device, first + more)) for more in range(load.batch)]
            kind, payload = topics.HIST, hist_bytes(boot, 1, rows)
        topic = topics.topic(load.city, load.names[device], kind)
        return wire.publish(topic.encode(), payload, position % wire.MOST_IDS + 1)
