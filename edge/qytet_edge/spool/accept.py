"""What may come into the spool: judged by the contract before anything is kept, dated, and put into its final form."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import msgspec

from qytet_contract import codes, records, topics
from qytet_contract.codes import ContractError
from qytet_edge.records import Notice, Reading, Relayed
from qytet_edge.spool.moments import Moments

__all__ = ["Dated", "check_notice", "check_numbering", "check_relayed", "date", "obs_payload"]

MAX_NOTICE = 1 << 20
"""Bytes: four times what a payload may have, so that nearly everything unreadable reaches the dead letters."""
_MAX_INT = (1 << 63) - 1
_encode = msgspec.json.Encoder().encode


class Dated(NamedTuple):
    """A reading that will be a record as soon as it has a number."""

    device: str
    t_ms: int | None
    up_ms: int
    tq: str
    m: bytes


def date(
    readings: Sequence[Reading], stamp: Callable[[], tuple[int | None, str]], up_ms: int, moments: Moments
) -> list[Dated]:
    """Readings with time and uptime, `m` as JSON text. Raises ContractError if one of them breaks the contract."""
    now_ms, tq = stamp() if readings else (None, "none")
    made = moments.of(readings, up_ms)
    return [_dated(reading, now_ms, tq, up_ms, at) for reading, at in zip(readings, made, strict=True)]


def _dated(reading: Reading, now_ms: int | None, tq: str, up_ms: int, made: int) -> Dated:
    device, t_ms, own_tq = reading.device, reading.t_ms, reading.tq
    values = dict(reading.values)
    check_device(device)
    records.check_values(values)
    if t_ms is None:
        our_ms = None if now_ms is None else now_ms + made - up_ms
        records.check_time(our_ms, tq)
        return Dated(device, our_ms, made, tq, _text(values))
    records.check_time(t_ms, own_tq)
    return Dated(device, t_ms, _measured(t_ms, now_ms, up_ms), own_tq, _text(values))


def _measured(t_ms: int, now_ms: int | None, up_ms: int) -> int:
    """The uptime when a reading with a time of its own was made, not when it was read from a file.

    The city takes t - up for the boot's start, and dates by it what was made before the clock was set. From before
    the boot, and while nobody knows how long ago it was, it is 0, which says nothing of the boot.
    """
    if now_ms is None:
        return 0
    return min(max(0, up_ms - (now_ms - t_ms)), records.MAX_UP)


def _text(values: dict[str, float | int | None]) -> bytes:
    """JSON text; a whole number beyond 64 bits becomes the double that the contract's readers take it for."""
    for key, value in values.items():
        if type(value) is int and abs(value) > _MAX_INT:
            try:
                values[key] = float(value)
            except OverflowError:
                raise ContractError(codes.NOT_FINITE, key) from None
    return _encode(values)


def check_relayed(relayed: Sequence[Relayed]) -> None:
    """Refuse what cannot be a record's name or time; its values are the city's to judge. Raises ContractError."""
    for record in relayed:
        check_numbering(record.device, record.boot, 1 if record.lo is None else record.lo)
        records.check_seq(record.seq)
        records.check_whole(record.up_ms, 0, records.MAX_UP, codes.BAD_UPTIME, "up")
        records.check_time(record.t_ms, record.tq)


def check_numbering(device: str, boot: str, lo: int) -> None:
    """Refuse what names no device, no boot or no number. Raises ContractError."""
    check_device(device)
    records.check_boot(boot)
    records.check_seq(lo)


def check_device(device: str) -> None:
    """Refuse what cannot be part of a topic. Raises ContractError."""
    if not topics.is_slug(device):
        raise ContractError(codes.BAD_TOPIC, f"device {device[:64]!r}")


def check_notice(notice: Notice) -> None:
    """Refuse a message that has no topic, or is too long to keep. Raises ContractError."""
    kind, _slash, ident = notice.kind.partition("/")
    name = topics.topic("city", notice.device, kind, ident=ident)
    if topics.parse(name) is None or kind not in topics.FROM_DEVICE:
        raise ContractError(codes.BAD_TOPIC, f"{notice.device}/{notice.kind}"[:200])
    if len(notice.payload) > MAX_NOTICE:
        raise ContractError(codes.TOO_LARGE, f"{len(notice.payload)} bytes")


def obs_payload(record: Relayed) -> bytes:
    """The `obs` payload that says this record, its values byte for byte."""
    t = b"null" if record.t_ms is None else str(record.t_ms).encode()
    return b'{"v":1,"boot":"%s","seq":%d,"t":%s,"up":%d,"tq":"%s","m":%s}' % (
        record.boot.encode(),
        record.seq,
        t,
        record.up_ms,
        record.tq.encode(),
        record.m,
    )
