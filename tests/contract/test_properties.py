"""What holds for every message, not only for the golden ones: found by hypothesis."""

import contextlib
import json
import math

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from qytet_contract import codes, records, strictjson, topics
from qytet_contract.codes import ContractError
from qytet_contract.properties import PROPERTIES

BOOTS = st.text("0123456789abcdef", min_size=8, max_size=8)
CHANNELS = st.text("abcdefghijklmnopqrstuvwxyz0123456789-_", min_size=1, max_size=records.MAX_CHANNEL)
NAMES = st.sampled_from(sorted(PROPERTIES))
KEYS = NAMES | st.builds(lambda name, channel: f"{name}:{channel}", NAMES, CHANNELS)
VALUES = st.none() | st.floats(allow_nan=False, allow_infinity=False) | st.integers(-(10**18), 10**18)
TIMES = st.tuples(
    st.integers(records.TIME_FLOOR, records.TIME_CEILING - 1), st.sampled_from(["rtc", "ntp", "gnss", "host"])
) | st.just((None, "none"))
RECORDS = st.tuples(
    st.integers(1, records.MAX_SEQ),
    TIMES,
    st.integers(0, records.MAX_UP),
    st.dictionaries(KEYS, VALUES, min_size=1, max_size=records.MAX_VALUES),
)
SLUGS = st.text("abcdefghijklmnopqrstuvwxyz0123456789-_", min_size=1, max_size=topics.MAX_SLUG)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**18), 10**18) | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(
        st.text(st.characters(exclude_categories=["Cs"]), max_size=8), inner, max_size=4
    ),
    max_leaves=20,
)  # fmt: skip


def depth(value):
    if isinstance(value, dict):
        return 1 + max(map(depth, value.values()), default=0)
    if isinstance(value, list):
        return 1 + max(map(depth, value), default=0)
    return 0


@given(BOOTS, RECORDS, st.booleans())
def test_what_is_built_of_valid_parts_is_valid(boot, record, ascii_only):
    """Whatever `records.obs` builds of valid parts passes its own check after a trip through JSON."""
    seq, (t, tq), up, m = record
    text = json.dumps(records.obs(boot, seq, t, up, tq, m), ensure_ascii=ascii_only)
    value = strictjson.loads(text.encode())
    records.check_obs(value)
    assert value == json.loads(text)


@given(BOOTS, st.integers(1, records.MAX_SEQ), st.lists(RECORDS, max_size=20))
def test_a_backfill_of_valid_rows_is_valid(boot, lo, rows):
    """Whatever `records.hist` builds of valid rows passes, with no row wrong."""
    r = [[seq, t, up, tq, m] for seq, (t, tq), up, m in rows]
    assert records.check_hist(strictjson.loads(json.dumps(records.hist(boot, lo, r)).encode())) == []


@given(JSON, st.booleans(), st.sampled_from([None, 1]))
def test_strict_json_reads_what_json_reads(value, ascii_only, indent):
    """Valid JSON of permitted depth gives the value that CPython's own reader gives."""
    assume(depth(value) <= strictjson.MAX_DEPTH)
    text = json.dumps(value, ensure_ascii=ascii_only, indent=indent)
    assert strictjson.loads(text.encode()) == json.loads(text) == value


def exact(raw):
    """CPython's reader, told to refuse what RFC 8259 does not know."""

    def refuse(word):
        raise ValueError(word)

    return json.loads(raw.decode("utf-8"), parse_constant=refuse)


WORDS = ["\\u", "\\n", "d83d", "de00", "12", "true", "false", "null", "NaN", "Infinity"]
FRAGMENTS = st.lists(st.sampled_from([*'{}[],:"\\-+01.eEam \t\x00ë😀', *WORDS]), max_size=24).map(
    lambda parts: "".join(parts).encode()
)


@given(st.binary(max_size=60) | FRAGMENTS)
def test_strict_json_refuses_what_json_refuses(raw):
    """Bytes that CPython's reader refuses are refused, with a code of the contract."""
    try:
        exact(raw)
    except (ValueError, RecursionError):
        with pytest.raises(ContractError) as caught:
            strictjson.loads(raw)
        assert caught.value.code in codes.CONTRACT_REFUSALS


@given(JSON.map(json.dumps), st.data())
def test_a_mutated_text_gives_a_value_or_a_refusal(text, data):
    """A byte changed anywhere gives CPython's value or a refusal with a code: never another exception."""
    raw = bytearray(text.encode())
    raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    with contextlib.suppress(ContractError):
        assert strictjson.loads(bytes(raw)) == exact(raw)


@given(JSON)
def test_any_value_gets_a_verdict(value):
    """No check of a message raises anything but ContractError, whatever JSON holds."""
    for check in (records.check_obs, records.check_hist):
        for payload in (value, {"v": 1, "boot": "9f3a01c2", "r": [value, [1, value, 2, "ntp", value]]}):
            with contextlib.suppress(ContractError):
                check(payload)


@given(
    SLUGS,
    SLUGS,
    SLUGS | st.just(""),
    SLUGS,
    st.sampled_from([*topics.FROM_DEVICE, topics.STORED, topics.CMD]),
)
def test_topics_come_back_as_they_were_built(city, device, gateway, ident, kind):
    """`parse` gives back what `topic` was built of."""
    given_ident = ident if kind in topics.WITH_ID else ""
    assume(not (gateway == "" and device == topics.VIA))
    name = topics.topic(city, device, kind, gateway=gateway, ident=given_ident)
    assert topics.parse(name) == (city, device, kind, gateway, given_ident)


@given(st.text("qytet/v1via+#obscmd-A ", max_size=60) | st.text(max_size=40))
def test_any_topic_gets_a_verdict(name):
    """`parse` returns None or five parts that are slugs, for any text."""
    found = topics.parse(name)
    if found is not None:
        city, device, _, gateway, ident = found
        assert all(topics.is_slug(part) for part in (city, device, gateway or "x", ident or "x"))


def test_no_refusal_is_listed_twice():
    """The two lists of refusals are disjoint and without repetition."""
    every = (*codes.CONTRACT_REFUSALS, *codes.SERVER_REFUSALS)
    assert len(set(every)) == len(every)


def test_the_largest_double_is_finite():
    """The check for infinity does not take the largest doubles for infinite."""
    records.check_value("pm2_5", math.nextafter(math.inf, 0))
