"""Payloads that the contract certainly refuses, made from a good record the way broken devices make them.

Each claims a boot of its own, so that a server that can read its sequence number takes no good record for known.
"""

import json
from collections.abc import Callable
from dataclasses import replace

from qytet_simulators.faults.actions import Record
from qytet_simulators.faults.luck import hex8


def _text(record: Record, **changes: object) -> bytes:
    return json.dumps(record.obs() | changes, separators=(",", ":")).encode()


def _cut_off(record: Record) -> bytes:
    return _text(record)[:-3]


def _bad_utf8(record: Record) -> bytes:
    return _text(record).replace(b'"tq":"', b'"tq":"\xff\xc3', 1)


def _not_a_number(record: Record) -> bytes:
    return _text(record, m={key: float("nan") for key in record.m})


def _negative_seq(record: Record) -> bytes:
    return _text(record, seq=-record.seq)


def _text_for_boot(record: Record) -> bytes:
    return _text(record, boot=f"boot {record.boot}")


def _unknown_property(record: Record) -> bytes:
    return _text(record, m={"flux_capacity": record.up})


def _year_1970(record: Record) -> bytes:
    return _text(record, t=record.up, tq="rtc")


def _line_noise(record: Record) -> bytes:
    return b"\x00\xfeAT+" + _text(record)[7::2]


_SPOILERS: tuple[Callable[[Record], bytes], ...] = (
    _cut_off,
    _bad_utf8,
    _not_a_number,
    _negative_seq,
    _text_for_boot,
    _unknown_property,
    _year_1970,
    _line_noise,
)


def spoil(record: Record, pick: float) -> bytes:
    """A malformed payload; ``pick`` in [0, 1) chooses the way."""
    own = replace(record, boot=hex8(record.device, record.boot, record.seq, "garbage"), seq=1)
    return _SPOILERS[int(pick * len(_SPOILERS))](own)
