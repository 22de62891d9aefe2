"""The fast path takes nothing that the contract refuses, and what it takes is what the contract reads."""

import json

from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from qytet_contract import codes, records, strictjson
from qytet_contract.codes import ContractError
from qytet_ingest.batch import Batch
from qytet_ingest.checked import Checked
from qytet_ingest.decode import Decoder
from qytet_ingest.ledger import Boot
from qytet_ingest.registry import Device, Registry, Stream

BOOT = "9f3a01c2"
T = 1_789_000_000_000
KEYS = {"pm2_5": 1, "no2": 2, "vehicle_count:lane2": 3}
NAMES = {number: key for key, number in KEYS.items()}

VALUES = st.dictionaries(
    st.sampled_from(sorted(KEYS)),
    st.none() | st.integers(-(10**30), 10**30) | st.floats(allow_nan=False, allow_infinity=False),
    min_size=1,
)
ROWS = st.tuples(
    st.integers(1, 1000), st.just(T), st.integers(0, 10**9), st.sampled_from(["rtc", "ntp"]), VALUES
)
OBS = st.builds(lambda row: records.obs(BOOT, *row), ROWS)
HIST = st.builds(
    lambda rows, lo: records.hist(BOOT, lo, [list(row) for row in rows]),
    st.lists(ROWS, min_size=1, max_size=4),
    st.integers(1, 5),
)
TEXTS = st.builds(
    lambda value, separators, kept: json.dumps(value, separators=separators, indent=kept),
    OBS | HIST,
    st.sampled_from([(",", ":"), (", ", " : ")]),
    st.sampled_from([None, 1]),
)
PIECES = [
    '"pm2_5":1',
    '"pm2_5":2,',
    '"no2":1e400',
    ',"v":1',
    '"\\u0070m2_5"',
    '"pm2\\u005f5"',
    '\\"',
    "1.0",
    "1e3",
    "-0",
    "00",
    "1.",
    "+1",
    "NaN",
    "Infinity",
    "-",
    "null",
    "true",
    "{}",
    "[]",
    '""',
    " ",
    "\t",
    "\x0c",
    "\ufeff",
    "\x00",
    "\\",
    '"',
    ",",
    "9" * 25,
    "1e308",
    "1e309",
    "-1e-400",
    '"tq":"gps"',
    '"t":null',
    "\u00a0",
    "//",
    "2147483648",
    "978307199999",
]


@st.composite
def mutated(draw):
    """A valid message with a few bytes cut out, put in, doubled or replaced."""
    text = draw(TEXTS)
    for _ in range(draw(st.integers(0, 3))):
        at = draw(st.integers(0, len(text)))
        end = min(len(text), at + draw(st.integers(0, 12)))
        piece = draw(st.sampled_from(PIECES) | st.just(text[at:end]))
        text = draw(st.sampled_from([text[:at] + piece + text[end:], text[:at] + piece + text[at:]]))
    return text.encode()


def taken(raw, kind):
    """(seq, time, quality, values) of each record that the fast path alone takes from a message; None if it doubts."""
    device = Device(1, "d", "tirana", None, mine=True)
    device.streams = {key: [Stream(number, 0, 2**62)] for key, number in KEYS.items()}
    device.settle()
    device.boots[BOOT] = Boot(1, BOOT)
    registry, doubts = Registry({"d": device}), []
    checked = Checked(registry, city="", find_boot=None, announce=None, ahead_ms=0)
    checked.take = lambda *_: doubts.append(1)
    batch = Batch()
    Decoder(registry, checked).feed(batch, [f"qytet/v1/tirana/d/{kind}".encode()], [raw], T)
    if doubts:
        assert not batch.record_seq
        assert device.boots[BOOT].mark() == 0
        return None
    found, start = [], 0
    columns = (batch.record_seq, batch.record_time, batch.record_tq, batch.record_size)
    for seq, t, tq, size in zip(*columns, strict=True):
        pairs = zip(batch.streams[start : start + size], batch.values[start : start + size], strict=True)
        found.append((seq, t, tq, {NAMES[stream]: value for stream, value in pairs}))
        start += size
    return found


def read(raw, kind):
    """The same by the contract alone; None if it refuses the message or a row of it."""
    try:
        value = strictjson.loads(raw)
        if kind == "hist":
            if records.check_hist(value):
                return None
            rows = value["r"]
        else:
            records.check_obs(value)
            rows = [[value[name] for name in ("seq", "t", "up", "tq", "m")]]
    except ContractError:
        return None
    found = {}
    for seq, t, _up, tq, m in rows:
        floats = {key: None if number is None else float(number) for key, number in m.items()}
        found.setdefault(seq, (seq, t, codes.TIME_QUALITIES[tq], floats))
    return list(found.values())


@settings(max_examples=400, deadline=None)
@given(mutated())
@example(b'{"v":1,"boot":"9f3a01c2","seq":1,"t":1789000000000,"up":1,"tq":"ntp","m":{"pm2_5":1,"pm2_5":2}}')
@example(b'{"v":1,"boot":"9f3a01c2","seq":1,"seq":2,"t":1789000000000,"up":1,"tq":"ntp","m":{"pm2_5":1}}')
@example(b'{"v":1,"boot":"9f3a01c2","seq":1,"t":1789000000000,"up":1,"tq":"ntp","m":{"pm2_5":1e400}}')
@example(b'{"v":1.0,"boot":"9f3a01c2","seq":1,"t":1789000000000,"up":1,"tq":"ntp","m":{"pm2_5":1}}')
def test_the_fast_path_takes_only_what_the_contract_accepts(raw):
    """Whatever was done to a message: taken by the fast path, the contract reads the same records from it."""
    kind = "hist" if b'"r"' in raw else "obs"
    found = taken(raw, kind)
    if found is not None:
        assert found == read(raw, kind)


@settings(max_examples=100, deadline=None)
@given(OBS | HIST)
def test_the_fast_path_takes_what_devices_say(value):
    """A message as devices write it never needs the slow path, or the hot path would be none."""
    kind = "hist" if "r" in value else "obs"
    raw = json.dumps(value, separators=(",", ":")).encode()
    assume(read(raw, kind) is not None)
    assert taken(raw, kind) == read(raw, kind)
