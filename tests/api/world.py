"""A small country for the API's tests: two cities, four devices, readings at known instants."""

from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg

from qytet.db.migrate import migrate
from qytet.db.registry import parse, register

__all__ = ["FIRST", "READINGS", "STEP", "add_latest", "add_readings", "build", "datastream_id"]

FIRST = datetime(2026, 11, 2, 8, 0, tzinfo=UTC)
STEP = timedelta(seconds=60)
READINGS = 5000  # of tirana-air-01 pm2_5: more than two chunks of a stream

DESCRIPTION: dict[str, Any] = {
    "cities": [
        {"city": "tirana", "name": "Tirana", "time_zone": "Europe/Tirane", "lat": 41.33, "lon": 19.82},
        {"city": "korce", "name": "Korçë", "time_zone": "Europe/Tirane", "lat": 40.62, "lon": 20.78},
    ],
    "sites": [
        {"city": "tirana", "site": "skenderbej", "name": "Sheshi Skënderbej", "lat": 41.33, "lon": 19.82},
        {"city": "tirana", "site": "lana", "name": "Lumi Lana", "lat": 41.32, "lon": 19.82},
        {"city": "korce", "site": "turan", "name": "Turan", "lat": 40.63, "lon": 20.77},
    ],
    "devices": [
        {
            "device": "tirana-air-01",
            "city": "tirana",
            "site": "skenderbej",
            "profile": "air_station",
            "datastreams": ["pm2_5", "no2", "air_temperature"],
        },
        {
            "device": "tirana-traffic-01",
            "city": "tirana",
            "site": "skenderbej",
            "profile": "traffic_counter",
            "datastreams": ["vehicle_count:lane1", "vehicle_count:lane2"],
        },
        {
            "device": "tirana-dma-01",
            "city": "tirana",
            "site": "lana",
            "profile": "water_dma",
            "datastreams": ["water_pressure"],
        },
        {
            "device": "korce-lamp-01",
            "city": "korce",
            "site": "turan",
            "profile": "lamp_controller",
            "datastreams": ["lamp_active_power:lamp1"],
        },
    ],
}


def build(url: str) -> None:
    """Migrate, register, and store readings, a ledger, dead letters and an undated record."""
    with psycopg.connect(url, autocommit=True) as connection:
        migrate(connection)
        register(connection, parse(DESCRIPTION))
        stream = datastream_id(connection, "tirana-air-01", "pm2_5")
        add_readings(connection, stream, FIRST, READINGS)
        connection.execute(_DELIVERY)
        connection.execute(_STATUS)
        connection.execute(_UNDATED)
        connection.execute(_DEAD, {"payload": b'{"v":1,\xff', "topic": "qytet/v1/tirana/tirana-air-99/obs"})


def datastream_id(connection: psycopg.Connection[Any], device: str, key: str) -> int:
    """The number of a datastream."""
    row = connection.execute(
        "select datastream_id from qytet.datastream where device = %s and key = %s", (device, key)
    ).fetchone()
    assert row is not None
    return int(row[0])


def add_readings(
    connection: psycopg.Connection[Any], stream: int, first: datetime, count: int, step: timedelta = STEP
) -> None:
    """`count` readings from `first` on; the value of reading i is i / 10."""
    connection.execute(
        "insert into store.observation select %s::timestamptz + %s * i, i / 10.0, %s, 1, 2"
        " from generate_series(0, %s) i",
        (first, step, stream, count - 1),
    )


def add_latest(
    connection: psycopg.Connection[Any], stream: int, when: datetime, value: float | None, quality: int = 1
) -> None:
    """Make that the newest reading of the datastream."""
    connection.execute(
        "insert into store.latest values (%(id)s, %(when)s, %(value)s, %(quality)s, 2)"
        " on conflict (datastream_id) do update set phenomenon_time = excluded.phenomenon_time,"
        " value = excluded.value, quality = excluded.quality",
        {"id": stream, "when": when, "value": value, "quality": quality},
    )


_DELIVERY = """
insert into store.delivery (device_id, boot, received, rejected, dropped, duplicates, late)
select device_id, '9f3a01c2', '{[1,11),[13,21)}', '{[11,12)}', '{[25,28)}', 2, 1
from store.device where name = 'tirana-air-01'
"""
_STATUS = """
insert into store.device_status (device_id, state, state_at, boot, firmware, board)
select device_id, case name when 'tirana-dma-01' then 'lost' else 'ready' end,
       case name when 'korce-lamp-01' then now() - interval '2 hours' else now() end, '9f3a01c2', '1.4.2', 'esp32'
from store.device
"""
_UNDATED = """
insert into store.undated (device_id, boot, seq, up_ms, m)
select device_id, '9f3a01c2', seq, seq * 1000, '{"pm2_5": 12.5}' from store.device, generate_series(18, 20) seq
where name = 'tirana-air-01'
"""
_DEAD = """
insert into store.dead_letter (digest, topic, payload, reason, detail, device)
select sha256(%(payload)s || n::text::bytea), %(topic)s, %(payload)s, 'not_utf8', 'byte 7', 'tirana-air-99'
from generate_series(1, 3) n
"""
