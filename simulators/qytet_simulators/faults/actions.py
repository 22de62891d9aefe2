"""What a publisher is told to do, and the record that a device has made of a reading."""

from dataclasses import dataclass
from typing import Any, TypeAlias

from qytet_contract import records
from qytet_simulators.city.model import Value


@dataclass(frozen=True, slots=True)
class Record:
    """One record as the device stamped it; ``at_ms`` is the true instant, which no device sends."""

    device: str
    boot: str
    seq: int
    t: int | None
    up: int
    tq: str
    m: dict[str, Value]
    at_ms: int

    def obs(self) -> dict[str, Any]:
        """Payload of an `obs` message."""
        return records.obs(self.boot, self.seq, self.t, self.up, self.tq, dict(self.m))

    def row(self) -> list[Any]:
        """Its row in a `hist` message."""
        return [self.seq, self.t, self.up, self.tq, self.m]


@dataclass(frozen=True, slots=True)
class Booted:
    """The device (re)started: later records carry this boot; those of earlier boots stay in its flash."""

    device: str
    boot: str
    at_ms: int


@dataclass(frozen=True, slots=True)
class Hold:
    """The device keeps this record and does not send it yet."""

    record: Record


@dataclass(frozen=True, slots=True)
class SendLive:
    """Publish as `obs`."""

    record: Record


@dataclass(frozen=True, slots=True)
class SendHist:
    """Publish as one `hist`: records of one boot, all held before."""

    device: str
    boot: str
    records: tuple[Record, ...]


@dataclass(frozen=True, slots=True)
class Resend:
    """Publish again what was sent before."""

    record: Record


@dataclass(frozen=True, slots=True)
class SendGarbage:
    """Publish bytes that the contract refuses, on the device's topic of this kind (`obs`)."""

    device: str
    kind: str
    payload: bytes
    at_ms: int


Action: TypeAlias = Booted | Hold | SendLive | SendHist | Resend | SendGarbage
