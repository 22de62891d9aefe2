"""What a nearby node's message means for the gateway: records to keep, messages to pass on, words to answer.

The verdict on each record is the city's own (the contract's checks), because a record that is kept travels in one
message with others: one that the city's reader would choke on must not take its neighbours with it. What is not
fit goes on as it came, so that the city's dead letters hold the node's bytes; of a backfill with some bad rows only
these rows do. What a node says it has lost (`lo`) is not passed on in a birth, but told to the spool: the gateway
may still hold what the node had to drop.
"""

from typing import Any, NamedTuple

import msgspec

from qytet_contract import VERSION, codes, notices, records, strictjson, topics
from qytet_contract.codes import ContractError
from qytet_edge.records import Notice, Relayed

__all__ = ["Heard", "Word", "understand"]

MOST_VALUES_BYTES = 16_384
"""64 values with the longest names and channels take half of it; more is blank space, and goes on as it came."""
_RETAINED = (topics.BIRTH, topics.STATE)
_Values = dict[str, int | float | None]
_BAD = (ContractError, msgspec.MsgspecError, UnicodeDecodeError, RecursionError)
"""What a node's bytes may raise; brackets without end raise the last."""


class Word(NamedTuple):
    """A node spoke of this boot: it sends `lowest`, or, if `lost`, says that it holds nothing below."""

    device: str
    boot: str
    lowest: int
    lost: bool = False

    def answered_by(self, mark: int) -> bool:
        """Whether the city's mark is news that the node waits for."""
        return mark > 0 and mark >= self.lowest - (1 if self.lost else 0)


class Heard(NamedTuple):
    """One message, taken apart; `why` says why it (or a part of it) is passed on unread, else it is empty."""

    records: tuple[Relayed, ...] = ()
    notices: tuple[Notice, ...] = ()
    words: tuple[Word, ...] = ()
    why: str = ""


class _Obs(msgspec.Struct, forbid_unknown_fields=True):
    v: msgspec.Raw
    boot: str
    seq: msgspec.Raw
    t: msgspec.Raw
    up: msgspec.Raw
    tq: str
    m: msgspec.Raw


class _Hist(msgspec.Struct, forbid_unknown_fields=True):
    v: msgspec.Raw
    boot: str
    r: list[msgspec.Raw]
    lo: msgspec.Raw = msgspec.Raw()


class _Birth(msgspec.Struct):
    boot: str
    lo: int


_obs = msgspec.json.Decoder(_Obs)
_hist = msgspec.json.Decoder(_Hist)
_row = msgspec.json.Decoder(tuple[msgspec.Raw, msgspec.Raw, msgspec.Raw, str, msgspec.Raw])
_values = msgspec.json.Decoder(_Values)
_birth = msgspec.json.Decoder(_Birth)


def understand(device: str, kind: str, ident: str, payload: bytes) -> Heard:
    """Take one message apart; never raises for what a node may have written."""
    name, retain = f"{kind}/{ident}" if ident else kind, kind in _RETAINED
    if len(payload) > strictjson.MAX_BYTES:
        # Of all of it the spool would be full and a broker might end the line; so much tells the city what it was.
        beginning = Notice(device, name, payload[: strictjson.MAX_BYTES + 1], retain)
        return Heard(notices=(beginning,), why=f"{kind} is longer than all may be: {len(payload)} bytes")
    try:
        if kind == topics.OBS:
            return _understand_obs(device, payload)
        if kind == topics.HIST:
            return _understand_hist(device, payload)
    except _BAD as error:
        why = f"{kind} cannot be read: {error}"
        return Heard(notices=(Notice(device, kind, payload),), why=why[:200])
    if kind == topics.BIRTH:
        return _understand_birth(device, payload)
    return Heard(notices=(Notice(device, name, payload, retain),))


def _understand_obs(device: str, payload: bytes) -> Heard:
    found = _obs.decode(payload)
    values = _values.decode(found.m)
    if payload.count(b'":') != len(_Obs.__struct_fields__) + len(values):
        records.check_obs(strictjson.loads(payload))  # a key twice, or only a space before a colon
    _check_version(found.v)
    records.check_boot(found.boot)
    record = _relayed(device, found.boot, found.seq, found.t, found.up, found.tq, found.m, values)
    return Heard((record,), words=(Word(device, found.boot, record.seq),))


def _understand_hist(device: str, payload: bytes) -> Heard:
    found = _hist.decode(payload)
    _check_version(found.v)
    records.check_boot(found.boot)
    lo = _whole(found.lo) if found.lo else None
    if lo is not None:
        records.check_seq(lo)
    if len(found.r) > records.MAX_RECORDS or (not found.r and lo is None):
        raise ContractError(codes.BAD_COUNT, f"r has {len(found.r)} records")
    good, bad, keys = _rows(device, found.boot, found.r, lo)
    if bad or payload.count(b'":') != 3 + (lo is not None) + keys:
        strictjson.loads(payload)  # a key twice or something too deep condemns the message
    words = [Word(device, found.boot, min(record.seq for record in good))] if good else []
    if lo is not None:
        words.append(Word(device, found.boot, lo, lost=True))
    if not bad:
        return Heard(tuple(good), words=tuple(words))
    rest = b'{"v":%d,"boot":"%s","r":[%s]}' % (VERSION, found.boot.encode(), b",".join(bad))
    why = f"{len(bad)} of {len(found.r)} records of a backfill break the contract"
    return Heard(tuple(good), (Notice(device, topics.HIST, rest),), tuple(words), why)


def _rows(
    device: str, boot: str, rows: list[msgspec.Raw], lo: int | None
) -> tuple[list[Relayed], list[bytes], int]:
    """The records, the rows that are none, and how many keys the records have in all."""
    good: list[Relayed] = []
    bad: list[bytes] = []
    keys = 0
    for raw in rows:
        try:
            seq, t, up, tq, m = _row.decode(raw)
            values = _values.decode(m)
            good.append(_relayed(device, boot, seq, t, up, tq, m, values, lo))
            keys += len(values)
        except _BAD:
            bad.append(bytes(raw))
    return good, bad, keys


def _relayed(
    device: str,
    boot: str,
    seq: msgspec.Raw,
    t: msgspec.Raw,
    up: msgspec.Raw,
    tq: str,
    m: msgspec.Raw,
    values: _Values,
    lo: int | None = None,
) -> Relayed:
    """The record, if it keeps the contract. Raises ContractError."""
    _check_doubtful(m, values)
    number, uptime = _whole(seq), _whole(up)
    instant = None if bytes(t) == b"null" else _whole(t)
    records.check_record(number, instant, uptime, tq, values)
    return Relayed(device, boot, number, instant, uptime, tq, bytes(m), lo)


def _check_doubtful(m: msgspec.Raw, values: _Values) -> None:
    """Give the contract's exact reader what msgspec reads otherwise: keys twice, numbers of hundreds of digits."""
    raw = bytes(m)
    if len(raw) > MOST_VALUES_BYTES:
        raise ContractError(codes.TOO_LARGE, f"{len(raw)} bytes of values")
    if raw.count(b'":') != len(values) or any(
        type(value) is int and abs(value) >> 63 for value in values.values()
    ):
        strictjson.loads(raw)


def _understand_birth(device: str, payload: bytes) -> Heard:
    """A birth whose `lo` says nothing new: the spool is told it instead."""
    try:
        found = _birth.decode(payload)
        value: Any = strictjson.loads(payload)
        notices.check_birth(value)
    except _BAD as error:
        # An empty one only clears the broker's memory.
        why = f"birth cannot be read: {error}"[:200] if payload else ""
        return Heard(notices=(Notice(device, topics.BIRTH, payload, retain=True),), why=why)
    word = Word(device, found.boot, found.lo, lost=True)
    if found.lo == 1:
        return Heard(notices=(Notice(device, topics.BIRTH, payload, retain=True),), words=(word,))
    humble = Notice(device, topics.BIRTH, msgspec.json.encode({**value, "lo": 1}), retain=True)
    return Heard(notices=(humble,), words=(word,))


def _check_version(raw: msgspec.Raw) -> None:
    if _whole(raw) != VERSION:
        raise ContractError(codes.WRONG_VERSION, bytes(raw)[:24].decode(errors="replace"))


def _whole(raw: msgspec.Raw) -> int:
    """A whole number as the contract has it: digits alone (1.0 and true are none). Raises ContractError."""
    text = bytes(raw)
    if not text.removeprefix(b"-").isdigit() or len(text) > 20:
        raise ContractError(codes.WRONG_TYPE, text[:24].decode(errors="replace"))
    return int(text)
