"""What the relay makes of nodes' messages: the contract's verdict, byte for byte, for good and bad ones."""

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from qytet_contract import records, strictjson, topics
from qytet_contract.codes import ContractError
from qytet_edge.inbox.relay.reading import Heard, Word, understand
from qytet_edge.records import Notice, Relayed
from qytet_edge.uplink import payloads
from qytet_simulators.fuzz import Fuzzer

VECTORS = Path(__file__).parents[2] / "contract" / "vectors"
NODE = "tirana-air-01"


def vectors(kind: str) -> list[Any]:
    return [
        pytest.param(_raw(vector), id=vector["name"])
        for vector in json.loads((VECTORS / f"{kind}.json").read_text(encoding="utf-8"))
    ]


def _raw(vector: dict[str, Any]) -> bytes:
    if "parts" in vector:
        return "".join(part * times for part, times in vector["parts"]).encode()
    if "hex" in vector:
        return bytes.fromhex(vector["hex"])
    return str(vector["raw"]).encode()


def verdict(kind: str, payload: bytes) -> list[Any] | None:
    """The rows that the city would store, by the contract's reference reader; None: the message is refused."""
    try:
        value: Any = strictjson.loads(payload)
        if kind == topics.OBS:
            records.check_obs(value)
            return [[value[name] for name in ("seq", "t", "up", "tq", "m")]]
        wrong = {index for index, _ in records.check_hist(value)}
        return [row for index, row in enumerate(value["r"]) if index not in wrong]
    except ContractError:
        return None


def check(kind: str, payload: bytes) -> Heard:
    """Every message: its good rows become records with the same meaning, the rest goes on, nothing disappears."""
    heard = understand(NODE, kind, "", payload)
    rows = verdict(kind, payload)
    if rows is None:
        assert heard.records == ()
        assert heard.notices == (Notice(NODE, kind, payload[: strictjson.MAX_BYTES + 1]),)
        assert heard.why
        return heard
    assert [[r.seq, r.t_ms, r.up_ms, r.tq, strictjson.loads(r.m)] for r in heard.records] == rows
    assert all(record.m in payload for record in heard.records)
    value: Any = strictjson.loads(payload)
    bad = len(value["r"]) - len(rows) if kind == topics.HIST else 0
    assert bool(heard.notices) == bool(bad)
    for notice in heard.notices:
        rest: Any = strictjson.loads(notice.payload)
        assert len(rest["r"]) == bad == len(records.check_hist(rest))
        assert "lo" not in rest
    return heard


@pytest.mark.parametrize("payload", vectors("obs"))
def test_each_golden_record_gets_the_contracts_verdict(payload: bytes) -> None:
    """A record is kept if and only if the city would store it; what is refused goes on as it came."""
    check(topics.OBS, payload)


@pytest.mark.parametrize("payload", vectors("hist"))
def test_each_golden_backfill_gets_the_contracts_verdict(payload: bytes) -> None:
    """Good rows of a backfill are kept, bad ones go on, and a refused message goes on as it came."""
    check(topics.HIST, payload)


def test_thousands_of_spoilt_messages_get_the_contracts_verdict() -> None:
    """No malformed message becomes a record, none is dropped, none stops the relay."""
    fuzzer, judged = Fuzzer(11, [("tirana", NODE)]), 0
    for message in fuzzer.messages(3000):
        if message.kind in (topics.OBS, topics.HIST):
            check(message.kind, message.payload)
            judged += 1
        else:
            heard = understand(NODE, message.kind, "1", message.payload)
            assert heard.notices[0].payload == message.payload
    assert judged > 1000


def test_values_stay_as_the_node_wrote_them() -> None:
    """Spaces, trailing zeros, exponents and the order of keys come through byte for byte."""
    m = b'{ "pm10" : 1.50, "pm2_5":1e1,"no2":-0.0 }'
    payload = b'{"m":%s,"v":1,"boot":"9f3a01c2","seq":4,"t":1789000000000,"up":7,"tq":"ntp"}' % m
    heard = understand(NODE, "obs", "", payload)
    assert heard.records == (Relayed(NODE, "9f3a01c2", 4, 1789000000000, 7, "ntp", m),)
    assert heard.words == (Word(NODE, "9f3a01c2", 4),)


@pytest.mark.parametrize(
    "m",
    [
        b'{"pm1":1,"pm1":2}',
        b'{"pm1":%s}' % (b"9" * 400),
        b'{"pm1":1e400}',
        b'{"pm1":NaN}',
        b'{"pm1":1%s}' % (b" " * 20_000),
        b'{"\\ud800":1}',
        b'{"pm1\xff":1}',
        b'{"pm1":"1"}',
    ],
)
def test_what_would_spoil_its_neighbours_is_never_kept(m: bytes) -> None:
    """A record is sent on among others in one message, so what makes such a message unreadable is not kept."""
    row = b'[4,1789000000000,7,"ntp",%s]' % m
    good = b'[5,1789000000000,8,"ntp",{"pm1":1}]'
    heard = understand(NODE, "hist", "", b'{"v":1,"boot":"9f3a01c2","r":[%s,%s]}' % (row, good))
    assert all(record.seq == 5 for record in heard.records)
    assert heard.notices
    assert heard.why
    alone = b'{"v":1,"boot":"9f3a01c2","seq":4,"t":1789000000000,"up":7,"tq":"ntp","m":%s}' % m
    assert understand(NODE, "obs", "", alone).notices == (Notice(NODE, "obs", alone),)


def test_losses_are_told_to_the_spool_and_not_past_it() -> None:
    """`lo` of a birth goes to the spool, which may still hold what the node dropped; the birth that goes on says 1."""
    birth = {"v": 1, "boot": "9f3a01c2", "lo": 40, "fw": "0.1.0", "board": "x", "ds": [["pm1", "ug/m3"]]}
    heard = understand(NODE, "birth", "", msgspec.json.encode(birth))
    assert heard.words == (Word(NODE, "9f3a01c2", 40, lost=True),)
    assert [notice.retain for notice in heard.notices] == [True]
    assert msgspec.json.decode(heard.notices[0].payload) == {**birth, "lo": 1}
    empty = understand(NODE, "hist", "", b'{"v":1,"boot":"9f3a01c2","lo":40,"r":[]}')
    assert empty == Heard(words=heard.words)
    fresh = msgspec.json.encode({**birth, "lo": 1})
    assert understand(NODE, "birth", "", fresh).notices == (Notice(NODE, "birth", fresh, retain=True),)
    assert understand(NODE, "birth", "", b"") == Heard(notices=(Notice(NODE, "birth", b"", retain=True),))


@pytest.mark.parametrize("kind", ["obs", "hist", "birth", "state", "log"])
@pytest.mark.parametrize(
    "frame", ["%s", '{"v":1,"boot":"9f3a01c2","r":[%s]}', '{"boot":"9f3a01c2","lo":9,"m":%s}']
)
def test_brackets_without_end_stop_nobody(kind: str, frame: str) -> None:
    """The deepest message that fits goes on as it came, past relay and uplink: it would come again after any crash."""
    payload = (frame % ("[" * 100_000 + "]" * 100_000)).encode()
    assert [notice.payload for notice in understand(NODE, kind, "", payload).notices] == [payload]
    assert payloads.lower_birth(payload, {"9f3a01c2": 5}) == payload
    with pytest.raises(ContractError):
        payloads.stored(payload)


def test_a_mark_answers_what_it_covers() -> None:
    """A node is answered if it repeats what is marked, or waits to hear that its losses are known; else not."""
    assert Word(NODE, "9f3a01c2", 5).answered_by(5)
    assert not Word(NODE, "9f3a01c2", 6).answered_by(5)
    assert Word(NODE, "9f3a01c2", 6, lost=True).answered_by(5)
    assert not Word(NODE, "9f3a01c2", 1, lost=True).answered_by(0)


def test_other_messages_keep_kind_and_number() -> None:
    """State is retained, an answer keeps its command's number, a log line is neither."""
    assert understand(NODE, "state", "", b"x").notices == (Notice(NODE, "state", b"x", retain=True),)
    assert understand(NODE, "ack", "42", b"y").notices == (Notice(NODE, "ack/42", b"y"),)
    assert understand(NODE, "log", "", b"z").notices == (Notice(NODE, "log", b"z"),)
