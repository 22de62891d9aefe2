"""What devices say of themselves: births register datastreams, wills of old boots are ignored, logs hold any text."""

import json

import pytest

from qytet_contract import notices
from qytet_ingest.write import settle, write
from tests.ingest.rig import BOOT, NOW, obs

OTHER = "00000002"


def birth(*keys_and_units, boot=BOOT, lo=1, fw="0.1.0"):
    return json.dumps(
        notices.birth(boot, lo, fw, "esp32-s3", [list(pair) for pair in keys_and_units])
    ).encode()


def state(s, boot=BOOT):
    return json.dumps(notices.state(boot, s)).encode()


def status(rig):
    return rig.db.execute(
        "select state, boot, firmware from qytet.device where device = %s", [rig.device]
    ).fetchone()


def test_a_birth_registers_what_it_names(rig):
    """A key of the catalogue becomes a datastream, once, and the next message in the same batch is stored in it."""
    batch = rig.batch()
    messages = [
        birth(["pm2_5", "ug/m3"], ["pm10", "ug/m3"]),
        obs(1, NOW, {"pm10": 5.0}),
        birth(["pm10", "ug/m3"]),
    ]
    names = [rig.topic("birth"), rig.topic("obs"), rig.topic("birth")]
    rig.decoder.feed(batch, names, messages, NOW)
    assert batch.dead == []
    write(rig.db, batch, rig.registry)
    settle(batch)
    rig.store(obs(2, NOW + 1, {"pm10": 6.0}))
    found = rig.db.execute("select key from qytet.datastream where device = %s", [rig.device]).fetchall()
    assert sorted(key for (key,) in found) == ["no2", "pm10", "pm2_5", "vehicle_count:lane2"]


@pytest.mark.parametrize(
    ("pair", "reason"), [(("pm10", "mg/m3"), "wrong_unit"), (("gold", "kg"), "unknown_property")]
)
def test_a_birth_that_contradicts_the_catalogue_is_a_dead_letter(rig, pair, reason):
    """Another unit or an unknown property registers nothing."""
    rig.store(birth(pair), kind="birth")
    assert rig.reasons() == [reason]
    assert "pm10" not in rig.registry.devices[rig.device].streams


def test_wills_of_old_boots_are_ignored(rig):
    """A last will that arrives after a newer birth changes nothing; the current boot's counts."""
    rig.store(birth(["pm2_5", "ug/m3"]), kind="birth")
    rig.store(state("ready"), kind="state")
    rig.store(birth(["pm2_5", "ug/m3"], boot=OTHER, fw="0.2.0"), kind="birth")
    rig.store(state("ready", OTHER), kind="state")
    rig.store(state("lost", BOOT), kind="state")
    assert status(rig) == ("ready", OTHER, "0.2.0")
    rig.store(state("lost", OTHER), kind="state")
    assert status(rig) == ("lost", OTHER, "0.2.0")


def test_a_birth_says_from_where_the_device_holds(rig):
    """`lo` of a birth moves the mark over what is gone."""
    rig.store(birth(["pm2_5", "ug/m3"], lo=4), kind="birth")
    assert rig.boot().mark() == 3
    assert rig.ledger()["dropped"] == 3


def test_logs_hold_any_text(rig):
    """Zero characters, quotes and emoji of a device's warning are kept as far as PostgreSQL can."""
    text = "a\0b 'quoted' \U0001f32b"
    line = {"v": 1, "boot": BOOT, "up": 5, "lvl": "warning", "msg": text}
    rig.store(json.dumps(line).encode(), kind="log")
    found = rig.db.execute("select message from qytet.device_log where device = %s", [rig.device]).fetchall()
    assert found == [(text.replace("\0", "\ufffd"),)]


def test_an_empty_retained_message_is_nothing(rig):
    """Clearing the broker's memory of a birth or a state is no message; an empty reading is a dead letter."""
    rig.store(b"", kind="birth")
    rig.store(b"", kind="state")
    assert rig.letters() == []
    rig.store(b"", kind="obs")
    assert rig.reasons() == ["not_json"]


def test_a_zero_character_in_what_is_refused(rig):
    """Details and payloads with zero characters are kept: the payload byte for byte."""
    raw = json.dumps({"v": 1, "boot": BOOT, "s": "re\0ady"}).encode()
    rig.store(raw, b'{"a\\u0000":1}', b"\0", kind="state")
    assert [row[2] for row in rig.letters()] == [raw, b'{"a\\u0000":1}', b"\0"]
