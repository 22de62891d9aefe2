"""What one transaction stores on each tier: readings once, with quality, ledger and dead letters."""

import psycopg
import pytest

from qytet.db.migrate import connect
from qytet_ingest.boots import Boots
from qytet_ingest.registry import Registry
from qytet_ingest.write import settle, write
from tests.ingest.rig import NOW, Deaf, Rig, hist, obs, register

REPLACE = (
    """
    update store.datastream set valid = tstzrange(lower(valid), to_timestamp(%(at)s)) where datastream_id = %(id)s
    """,
    """
    insert into store.datastream (device_id, property, channel, valid)
    select device_id, property, channel, tstzrange(to_timestamp(%(at)s), null) from store.datastream
    where datastream_id = %(id)s
    """,
)


def test_readings_are_stored_as_they_were_said(rig):
    """Values, null, instants and time quality arrive unchanged; quality follows the catalogue's ranges."""
    rig.store(
        obs(1, NOW, {"pm2_5": 12.5, "no2": None}),
        obs(2, NOW + 1, {"pm2_5": 300, "no2": -20.0, "vehicle_count:lane2": 7}, tq="gnss"),
        obs(3, NOW + 2, {"pm2_5": 300.001, "no2": -20.001}, tq="rtc"),
        obs(4, NOW + 3, {"pm2_5": 1000.001, "no2": -10.0}, tq="host"),
        obs(5, NOW + 4, {"pm2_5": 0, "no2": 400.0}),
    )
    assert rig.rows() == [
        ("no2", 0, None, 9, 2),
        ("pm2_5", 0, 12.5, 1, 2),
        ("no2", 1, -20.0, 3, 3),
        ("pm2_5", 1, 300.0, 1, 3),
        ("vehicle_count:lane2", 1, 7.0, 1, 3),
        ("no2", 2, -20.001, 4, 1),
        ("pm2_5", 2, 300.001, 3, 1),
        ("no2", 3, -10.0, 1, 4),
        ("pm2_5", 3, 1000.001, 4, 4),
        ("no2", 4, 400.0, 1, 2),
        ("pm2_5", 4, 0.0, 1, 2),
    ]
    assert rig.ledger()["stored_mark"] == 5


def test_the_same_record_again_changes_nothing(rig):
    """In the same batch, in a later one and after a restart, a duplicate is counted and nothing else."""
    record = obs(1, NOW, {"pm2_5": 1.0})
    rig.store(record, record)
    rig.store(record)
    rig.restart()
    rig.store(record, hist([[1, NOW, 1000, "ntp", {"pm2_5": 1.0}]]))
    assert rig.values() == [("pm2_5", 0, 1.0)]
    assert rig.letters() == []
    assert rig.ledger() | {"late": 0} == {
        "stored_mark": 1, "received": 1, "rejected": 0, "dropped": 0, "missing": 0, "duplicates": 4, "late": 0,
    }  # fmt: skip


def test_a_commit_whose_answer_was_lost_is_recognised(rig):
    """Committed, then the connection is lost: writing the batch again stores nothing twice and sets nothing aside."""
    rig.store(obs(1, NOW, {"pm2_5": 1.0}))
    batch = rig.batch(
        obs(2, NOW + 1, {"pm2_5": 2.0, "no2": None}),
        obs(3, NOW + 1, {"pm2_5": 3.0}),  # a collision, noticed by the first attempt
        obs(9, NOW + 2, {"no2": 4.0}),
        obs(4, NOW, {"nonsense": 1.0}),
    )
    deaf = Deaf(rig.db)
    with pytest.raises(psycopg.OperationalError):
        write(deaf, batch, rig.registry)
    write(deaf, batch, rig.registry)
    settle(batch)
    assert rig.values() == [("pm2_5", 0, 1.0), ("no2", 1, None), ("pm2_5", 1, 2.0), ("no2", 2, 4.0)]
    assert sorted(rig.reasons()) == ["collision", "unknown_property"]
    assert rig.ledger()["missing"] == 4  # 5 to 8
    rig.restart()
    assert rig.boot().mark() == 4


def test_the_first_record_of_an_instant_stands(rig):
    """Another record for the same datastream and instant is a dead letter; its other readings are stored."""
    rig.store(obs(1, NOW, {"pm2_5": 1.0}), obs(2, NOW, {"pm2_5": 2.0, "no2": 5.0}))
    rig.store(obs(3, NOW, {"pm2_5": 3.0}), obs(4, NOW + 1, {"no2": 6.0}))
    rig.store(obs(5, NOW, {"pm2_5": 1.0}))  # even with the value that is there
    assert rig.values() == [("no2", 0, 5.0), ("pm2_5", 0, 1.0), ("no2", 1, 6.0)]
    assert rig.letters() == [
        ("collision", 1, obs(2, NOW, {"pm2_5": 2.0, "no2": 5.0})),
        ("collision", 1, obs(3, NOW, {"pm2_5": 3.0})),
        ("collision", 1, obs(5, NOW, {"pm2_5": 1.0})),
    ]
    assert rig.ledger()["stored_mark"] == 5
    assert rig.ledger()["rejected"] == 3
    rig.store(obs(3, NOW, {"pm2_5": 3.0}))
    assert rig.ledger()["duplicates"] == 1
    assert len(rig.letters()) == 3


def test_another_boot_may_use_the_same_numbers(rig):
    """The key of a record is device, boot and number: the next boot begins at 1 again."""
    rig.store(obs(1, NOW, {"pm2_5": 1.0}), obs(1, NOW + 1, {"pm2_5": 2.0}, boot="00000001"))
    assert rig.values() == [("pm2_5", 0, 1.0), ("pm2_5", 1, 2.0)]
    assert (rig.ledger()["received"], rig.ledger("00000001")["received"]) == (1, 1)


def test_a_poison_message_is_isolated(plain_rig):
    """A value that PostgreSQL refuses costs its own message only; a good record of its number is still welcome."""
    rig = plain_rig
    rig.db.execute("alter table store.observation add constraint poison check (value is distinct from 666)")
    try:
        good = [obs(n, NOW + n, {"pm2_5": float(n), "no2": 1.0}) for n in range(1, 40) if n not in (7, 31)]
        bad = [obs(n, NOW + n, {"pm2_5": 666.0, "no2": 1.0}) for n in (7, 31)]
        messages = [*good[:6], bad[0], *good[6:29], bad[1], *good[29:]]
        rig.store(*messages)
        assert len(rig.values()) == 37 * 2
        assert rig.letters() == [("store_failed", 1, bad[0]), ("store_failed", 1, bad[1])]
        assert rig.ledger() | {"late": 0} == {
            "stored_mark": 39, "received": 37, "rejected": 2, "dropped": 0, "missing": 0, "duplicates": 0, "late": 0,
        }  # fmt: skip
        rig.restart()
        rig.store(obs(7, NOW + 7, {"pm2_5": 7.0, "no2": 1.0}))
        assert ("pm2_5", 7, 7.0) in rig.values()
        assert rig.ledger()["received"] == 38
    finally:
        rig.db.execute("alter table store.observation drop constraint poison")


def test_a_good_row_of_a_bad_backfill_is_stored(rig):
    """Good rows of a hist are stored, bad ones make it one dead letter; every number is accounted for."""
    rig.store(
        hist(
            [
                [1, NOW, 1, "ntp", {"pm2_5": 1.0}],
                [2, NOW + 1, 2, "ntp", {"pm2_5": "two"}],
                [3, NOW + 2, 3, "ntp", {"pm4": 3.0}],
                [4, 1000, 4, "rtc", {"pm2_5": 4.0}],
                [5, NOW + 4, 5, "ntp", {"pm2_5": 5.0}],
                [6, NOW + 600_000, 6, "ntp", {"pm2_5": 6.0}],
            ],
            lo=1,
        )
    )
    assert rig.values() == [("pm2_5", 0, 1.0), ("pm2_5", 4, 5.0)]
    assert rig.reasons() == ["wrong_type"]
    assert rig.ledger()["stored_mark"] == 6
    assert (rig.ledger()["received"], rig.ledger()["rejected"]) == (2, 4)


def test_a_backfill_refused_as_a_whole_is_accounted_for(rig):
    """A hist that breaks the contract is one dead letter, and its numbers count: it need not be sent for ever."""
    rows = [[n, NOW + n, n, "ntp", {"pm2_5": 1.0}] for n in range(1, 1002)]
    rig.store(hist(rows))
    assert rig.reasons() == ["bad_count"]
    assert rig.values() == []
    assert rig.boot().mark() == 1001


def test_what_a_device_dropped_is_said_and_the_mark_moves_on(rig):
    """`lo` tells what the device lost; what arrives late after all is stored and no longer counted as dropped."""
    rig.store(obs(1, NOW, {"pm2_5": 1.0}))
    rig.store(hist([[6, NOW + 6, 6, "ntp", {"pm2_5": 6.0}]], lo=5))
    assert rig.boot().mark() == 4
    ledger = rig.ledger()
    assert (ledger["stored_mark"], ledger["dropped"], ledger["missing"]) == (4, 3, 1)
    rig.store(obs(3, NOW + 3, {"pm2_5": 3.0}))
    assert rig.ledger()["dropped"] == 2
    rig.restart()
    assert rig.boot().mark() == 4


def test_equal_dead_letters_are_kept_once_with_their_number(rig):
    """The same bytes on the same topic are one letter that counts its sightings; other bytes are another."""
    rig.store(b"{", b"{", b"[")
    rig.store(b"{")
    assert rig.letters() == [("not_json", 3, b"{"), ("not_json", 1, b"[")]


def test_late_is_what_came_a_minute_after_its_time(rig):
    """Live or backfill, by either path: late counts records by their own time."""
    rig.store(obs(1, NOW - 60_001, {"pm2_5": 1.0}))  # a new boot: the checked path
    rig.store(obs(2, NOW - 60_001, {"no2": 1.0}), obs(3, NOW, {"no2": 1.0}))
    rig.store(hist([[4, NOW - 60_002, 1, "ntp", {"no2": 1.0}], [5, NOW - 60_000, 1, "ntp", {"no2": 1.0}]]))
    assert rig.ledger()["late"] == 3


def test_nothing_lies_in_the_future_or_before_service(rig):
    """More than the allowed lead, or before the device's service: a dead letter that says so, at the very limit."""
    rig.store(obs(1, NOW + 300_000, {"pm2_5": 1.0}), obs(2, NOW + 300_001, {"pm2_5": 1.0}))
    start = 1704067200000  # 2024-01-01, when devices begin unless they say otherwise
    rig.store(obs(3, start, {"no2": 1.0}), obs(4, start - 1, {"no2": 1.0}))
    assert rig.values() == [("no2", start - NOW, 1.0), ("pm2_5", 300_000, 1.0)]
    assert rig.reasons() == ["time_too_late", "not_valid_then"]


def test_a_replaced_sensor_keeps_old_and_new_apart(rig):
    """After a sensor is replaced, a record that arrives late still belongs to the datastream of its own time."""
    rig.store(obs(1, NOW - 5000, {"pm2_5": 1.0}))
    old = rig.registry.devices[rig.device].open["pm2_5"]
    for statement in REPLACE:
        rig.db.execute(statement, {"at": NOW / 1000, "id": old})
    rig.restart()
    rig.store(
        obs(2, NOW + 1, {"pm2_5": 2.0}),
        obs(3, NOW - 1, {"pm2_5": 3.0}),
        hist([[4, NOW - 2, 1, "ntp", {"pm2_5": 4.0}], [5, NOW, 1, "ntp", {"pm2_5": 5.0}]]),
    )
    found = rig.db.execute(
        "select datastream_id = %s, value from qytet.reading where device = %s order by value",
        [old, rig.device],
    ).fetchall()
    assert found == [(True, 1.0), (False, 2.0), (True, 3.0), (True, 4.0), (False, 5.0)]
    assert rig.letters() == []


def test_a_retired_device_is_refused_from_its_end_on(rig):
    """What a device made while in service is stored even when it comes later; what it made after is a dead letter."""
    rig.db.execute(
        "update store.device set valid = tstzrange(lower(valid), to_timestamp(%s)) where name = %s",
        [NOW / 1000, rig.device],
    )
    rig.restart()
    rig.store(obs(1, NOW - 1, {"pm2_5": 1.0}), obs(2, NOW, {"pm2_5": 2.0}))
    assert rig.values() == [("pm2_5", -1, 1.0)]
    assert rig.reasons() == ["not_valid_then"]


def test_only_its_gateway_may_relay_a_device(plain_rig):
    """Through its gateway a record is stored and answered there; through another one it is a dead letter."""
    rig = plain_rig
    gateway, other = register(rig.db), register(rig.db)
    node = register(rig.db, gateway=gateway)
    rig = Rig(rig.db, node)
    names = [rig.topic("obs", gateway=g) for g in (gateway, other)]
    batch = rig.batch()
    rig.decoder.feed(batch, names, [obs(1, NOW, {"pm2_5": 1.0}), obs(2, NOW + 1, {"pm2_5": 2.0})], NOW)
    write(rig.db, batch, rig.registry)
    assert rig.values() == [("pm2_5", 0, 1.0)]
    assert rig.reasons() == ["not_via"]
    assert rig.boot().reply == f"qytet/v1/tirana/{gateway}/via/{node}/stored".encode()


def test_a_wrong_city_and_a_stranger_are_dead_letters(plain_rig):
    """City and device are checked against the registry; nothing of them is stored or acknowledged as stored."""
    rig = plain_rig
    batch = rig.batch()
    names = [
        f"qytet/v1/durres/{rig.device}/obs".encode(),
        b"qytet/v1/tirana/nobody-knows/obs",
        b"qytet/v1/T/x/obs",
    ]
    rig.decoder.feed(batch, names, [obs(1, NOW, {"pm2_5": 1.0})] * 3, NOW)
    write(rig.db, batch, rig.registry)
    assert [letter.reason for letter in batch.dead] == ["wrong_city", "unknown_device", "bad_topic"]
    assert batch.boots == []
    assert rig.values() == []


@pytest.mark.parametrize("count", [2, 3])
def test_each_unknown_device_has_one_worker(plain_rig, count):
    """Of several workers by shard exactly one takes a message, also one of a stranger or on a bad topic."""
    names = [f"qytet/v1/tirana/stranger-{n}/obs".encode() for n in range(20)] + [b"qytet/v1/T/x/obs"]
    taken = []
    for index in range(count):
        plain_rig.registry = Registry.load(plain_rig.db, (index, count))
        plain_rig.decoder.use(plain_rig.registry)
        batch = plain_rig.batch()
        plain_rig.decoder.feed(batch, names, [b"{"] * len(names), NOW)
        taken += [topic for topic, _ in batch.messages]
    assert sorted(taken) == sorted(names)


def test_memory_of_boots_is_bounded_and_forgets_nothing_needed(own_url):
    """A device that restarts all the time does not fill the memory, and a forgotten boot is known from the database."""
    with connect(own_url) as db:
        rig = Rig(db, register(db))
        rig.boots = Boots(limit=10)
        rig.boots.load(rig.db, rig.registry)
        for number in range(40):
            rig.store(obs(1, NOW + number, {"pm2_5": 1.0}, boot=f"{number:08x}"))
            assert len(rig.registry.devices[rig.device].boots) <= 11
        rig.store(obs(1, NOW, {"pm2_5": 1.0}, boot="00000000"))
        assert rig.ledger("00000000")["duplicates"] == 1
        assert len(rig.values()) == 40
        assert rig.letters() == []
