"""Ingest's decoder, fast path and checked path, gives every golden message the contract's verdict."""

import pytest

from qytet_contract import codes, records, topics
from qytet_contract.codes import ContractError
from qytet_contract.properties import PROPERTIES
from tests.contract import verdict
from tests.contract.test_vectors import VECTORS

decode = pytest.importorskip("qytet_ingest.decode", reason="ingest is not installed")
batch_module = pytest.importorskip("qytet_ingest.batch")
checked_module = pytest.importorskip("qytet_ingest.checked")
ledger = pytest.importorskip("qytet_ingest.ledger")
registry_module = pytest.importorskip("qytet_ingest.registry")

DEVICE_KINDS = (topics.OBS, topics.HIST, topics.BIRTH, topics.STATE, topics.LOG, topics.ACK)
# An empty payload on a retained topic only clears the broker's memory, so ingest passes over it.
MESSAGES = [
    vector
    for _, vector in VECTORS
    if vector["kind"] in DEVICE_KINDS
    and not (vector["kind"] in (topics.BIRTH, topics.STATE) and vector.get("raw") == "")
]
EACH = pytest.mark.parametrize("vector", MESSAGES, ids=[f"{v['kind']}: {v['name']}" for v in MESSAGES])
AFTER_ALL = 4102444800000  # 2100: the server's clock refuses nothing
SEEN = "9f3a01c2"


def keys_of(vector):
    """Every key that the message measures, so that the registry knows each."""
    value = vector.get("decoded") or {}
    groups = [
        value.get("m"),
        *(row[4] for row in value.get("r", []) if isinstance(row, list) and len(row) == 5),
    ]
    named = {key for group in groups if isinstance(group, dict) for key in group}
    return sorted({key for key in named if is_key(key)} | set(PROPERTIES))


def is_key(key):
    try:
        records.check_key(key)
    except ContractError:
        return False
    return True


def as_stored(m):
    """Values as the database keeps them: doubles or null."""
    return {key: None if value is None else float(value) for key, value in m.items()}


def fed(vector, *, boot_is_known):
    """The batch after this one message of a registered device that has all datastreams."""
    keys = keys_of(vector)
    device = registry_module.Device(1, "d", "tirana", None, mine=True)
    for number, key in enumerate(keys, start=1):
        device.streams[key] = [registry_module.Stream(number, -(2**62), 2**62)]
    device.settle()
    if boot_is_known:
        device.boots[SEEN] = ledger.Boot(1, SEEN)
    known = registry_module.Registry({"d": device})
    checked = checked_module.Checked(
        known,
        city="",
        find_boot=lambda device, boot: device.boots.setdefault(boot, ledger.Boot(device.device_id, boot)),
        announce=lambda _device, _keys: None,
        ahead_ms=0,
    )
    batch = batch_module.Batch()
    suffix = f"{vector['kind']}/1" if vector["kind"] in topics.WITH_ID else vector["kind"]
    name = f"qytet/v1/tirana/d/{suffix}".encode()
    decode.Decoder(known, checked).feed(batch, [name], [verdict.message(vector)], AFTER_ALL)
    return batch, dict(enumerate(keys, start=1))


@pytest.mark.parametrize("boot_is_known", [True, False], ids=["known boot", "new boot"])
@EACH
def test_ingest_gives_the_contracts_verdict(vector, boot_is_known):
    """Refused by the contract: one dead letter with that code and nothing stored. Accepted: no dead letter."""
    batch, _ = fed(vector, boot_is_known=boot_is_known)
    wrong_rows = vector.get("rows_wrong", [])
    reasons = [letter.reason for letter in batch.dead]
    if vector["valid"]:
        assert reasons == [code for _, code in wrong_rows[:1]]
    else:
        assert reasons == [vector["error"]]
        assert (batch.record_seq, batch.undated, batch.births, batch.states, batch.logs) == (
            [],
            [],
            [],
            [],
            [],
        )
    assert all(letter.payload == verdict.message(vector) for letter in batch.dead)


@pytest.mark.parametrize("boot_is_known", [True, False], ids=["known boot", "new boot"])
@pytest.mark.parametrize(
    "vector",
    [v for v in MESSAGES if v["valid"] and "decoded" in v and v["kind"] in (topics.OBS, topics.HIST)],
    ids=lambda v: f"{v['kind']}: {v['name']}",
)
def test_ingest_stores_what_the_message_says(vector, boot_is_known):
    """Each record that the contract accepts is taken once, with its number, time and values."""
    batch, keys = fed(vector, boot_is_known=boot_is_known)
    value, wrong = vector["decoded"], {row for row, _ in vector.get("rows_wrong", [])}
    rows = (
        value["r"] if vector["kind"] == topics.HIST else [[value[n] for n in ("seq", "t", "up", "tq", "m")]]
    )
    said = {}
    for at, row in enumerate(rows):
        if at not in wrong:
            said.setdefault(row[0], row)
    dated = {seq: row for seq, row in said.items() if row[1] is not None}
    stored, start = {}, 0
    for seq, t, tq, size in zip(
        batch.record_seq, batch.record_time, batch.record_tq, batch.record_size, strict=True
    ):
        names = [name_of(batch, keys, at) for at in range(start, start + size)]
        stored[seq] = (t, tq, as_stored(dict(zip(names, batch.values[start : start + size], strict=True))))
        start += size
    anchored = {seq: found for seq, found in stored.items() if found[1] != codes.TIME_BACKDATED}
    assert anchored == {
        seq: (row[1], codes.TIME_QUALITIES[row[3]], as_stored(row[4])) for seq, row in dated.items()
    }
    assert {*stored, *(record.seq for record in batch.undated)} == set(said)
    assert len(batch.record_seq) == len(stored)


def name_of(batch, keys, at):
    """The key of the reading at this place of the batch."""
    return keys[batch.streams[at]]
