"""The contract's readings as msgspec sees them: the fast decoder, which accepts nothing that the contract refuses.

What it cannot accept at once goes to `checked`, which applies the contract itself; so a disagreement costs
time, never a reading. Two things a typed decoder cannot see, a repeated key and an escaped one, show in the
number of quotation marks (see `OBS_QUOTES`).
"""

from typing import Annotated, Literal

import msgspec

from qytet_contract.records import MAX_RECORDS, MAX_SEQ, MAX_UP, MAX_VALUES, TIME_CEILING, TIME_FLOOR

__all__ = ["HIST_QUOTES", "OBS_QUOTES", "Hist", "Obs", "Row", "decode_hist", "decode_obs"]

Version = Annotated[int, msgspec.Meta(ge=1, le=1)]
Seq = Annotated[int, msgspec.Meta(ge=1, le=MAX_SEQ)]
Up = Annotated[int, msgspec.Meta(ge=0, le=MAX_UP)]
Time = Annotated[int, msgspec.Meta(ge=TIME_FLOOR, lt=TIME_CEILING)]
Known = Literal["rtc", "ntp", "gnss", "host"]  # records without time take the checked path
Values = Annotated[dict[str, float | None], msgspec.Meta(min_length=1, max_length=MAX_VALUES)]


class Obs(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    """One dated record."""

    v: Version
    boot: str
    seq: Seq
    t: Time
    up: Up
    tq: Known
    m: Values


class Row(msgspec.Struct, array_like=True, forbid_unknown_fields=True, gc=False):
    """One dated record of a hist."""

    seq: Seq
    t: Time
    up: Up
    tq: Known
    m: Values


class Hist(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    """Many dated records of one boot; `lo` is the lowest that the device still holds."""

    v: Version
    boot: str
    r: Annotated[list[Row], msgspec.Meta(min_length=1, max_length=MAX_RECORDS)]
    lo: Seq | None = None


OBS_QUOTES = 18
"""Quotation marks of an obs without repeated or escaped names: 7 fields and 2 texts, beside 2 for each value."""
HIST_QUOTES = 8
"""The same for a hist: 3 fields and 1 text, beside 2 for `lo`, 2 for each row and 2 for each value."""

decode_obs = msgspec.json.Decoder(Obs).decode
decode_hist = msgspec.json.Decoder(Hist).decode
