"""Two small cities in which all is well, straight in the tables: what tests of alerts then break, one thing each."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import psycopg

from qytet.db import rollup
from qytet.db.registry import parse, register
from tests.dashboards.alerting import firing
from tests.dashboards.asking import Asker, utc_now
from tests.dashboards.boards import rules

GATEWAY, BEHIND = "tirana-gw-01", ("tirana-air-01", "tirana-air-02")
ALONE = tuple(f"tirana-air-{number:02}" for number in range(3, 9))
LAMPS, TANK = "tirana-lamp-01", "durres-tank-01"
COLUMNS = ("lamp_active_power", "lamp_dimming_level", "lamp_supply_voltage")

# What ingest wrote of itself and of each device: a record a minute over the last day, everything in order.
_MINUTES = """
insert into store.ingest_minute (worker, minute, messages, records, readings, duplicates, dead_letters, batches,
    commit_ms, commit_ms_max, lag_ms, lag_ms_max, window_used, window_size, memory_mb, disk_used, reconnects,
    last_commit)
select 'a', minute, 10, 10, 30, 0, 0, 5, 40, 12, 500, 180, 1000, 64000000, 60, 0.4, 0, minute
from generate_series(0, 1439) n,
     lateral (select date_trunc('minute', now()) - n * interval '1 minute' as minute) m
"""
_HEARD = """
insert into store.delivery (device_id, boot, received, first_seen, last_seen)
select device_id, '00000001', '{[1,1501)}', now() - interval '25 hours', now() from store.device
"""
_HOURS = """
insert into store.delivery_hour (device_id, hour, received, missing, readings)
select device_id, date_trunc('hour', now()) - n * interval '1 hour', 60, 0, 180
from store.device, generate_series(1, 25) n
"""
_READINGS = """
insert into store.observation (datastream_id, phenomenon_time, value, quality, time_quality)
select %(stream)s, t, v, 1, 2 from unnest(%(times)s::timestamptz[], %(values)s::double precision[]) as rows (t, v)
"""
_NEWEST = """
insert into store.latest (datastream_id, phenomenon_time, value, quality, time_quality)
select distinct on (datastream_id) datastream_id, phenomenon_time, value, 1, 2 from store.observation
order by datastream_id, phenomenon_time desc
"""


def _description() -> dict[str, Any]:
    lamps = [f"{column}:lamp{number}" for column in COLUMNS for number in (1, 2, 3, 4)]
    devices = [
        {"device": GATEWAY, "profile": "gateway", "datastreams": ["board_temperature"]},
        *({"device": name, "gateway": GATEWAY, "datastreams": ["pm2_5"]} for name in BEHIND),
        *({"device": name, "datastreams": ["pm2_5"]} for name in ALONE),
        {"device": LAMPS, "profile": "lamp_controller", "site": "rruga", "datastreams": lamps},
        {"device": TANK, "city": "durres", "profile": "water_tank", "datastreams": ["water_tank_level"]},
        {"device": "durres-air-01", "city": "durres", "datastreams": ["pm2_5"]},
    ]
    places = {"tirana": (41.33, 19.82), "durres": (41.32, 19.45)}
    sites = [("tirana", "sheshi"), ("tirana", "rruga"), ("durres", "sheshi")]
    zone = "Europe/Tirane"
    return {
        "cities": [
            {"city": city, "name": city.title(), "time_zone": zone, "lat": at[0], "lon": at[1]}
            for city, at in places.items()
        ],
        "sites": [
            {
                "city": city,
                "site": site,
                "name": site.title(),
                "lat": places[city][0],
                "lon": places[city][1],
            }
            for city, site in sites
        ],
        "devices": [{"city": "tirana", "site": "sheshi", "profile": "air", **row} for row in devices],
    }


@dataclass(frozen=True)
class SmallCity:
    """The database, to be changed within a transaction that is taken back."""

    db: psycopg.Connection[Any]

    def stream(self, device: str, key: str) -> int:
        """The datastream of a device by its key."""
        sql = "select datastream_id from qytet.datastream where device = %s and key = %s"
        (found,) = self.db.execute(sql, (device, key)).fetchone() or (0,)
        return int(found)

    def fired(self, *domains: str) -> dict[str, list[dict[str, str]]]:
        """Every rule (or those of some domains) that fires now, with its subjects' labels."""
        asker = Asker(self.db, utc_now())
        found = {
            str(rule["uid"]).removeprefix("qytet-"): firing(asker, rule)
            for rule in rules()
            if not domains or rule["labels"]["domain"] in domains
        }
        return {uid: subjects for uid, subjects in found.items() if subjects}

    def silence(self, hours: float, *devices: str) -> None:
        """Let these devices have said nothing for so long."""
        self.db.execute(
            "update store.delivery set last_seen = now() - %s * interval '1 hour' where device_id in "
            "(select device_id from store.device where name = any(%s))",
            (hours, list(devices)),
        )

    def lamps(self, *levels_and_powers: tuple[float, float]) -> None:
        """What lamps 1, 2 … were commanded to (%) and drew (W) in the last hour; by day before all drew 100 W."""
        now = utc_now()
        for number, (level, power) in enumerate(levels_and_powers, 1):
            for column, value in zip(COLUMNS, (power, level, 230.0), strict=True):
                stream = self.stream(LAMPS, f"{column}:lamp{number}")
                times = [now - timedelta(minutes=15 * n + 1) for n in range(5)]
                self.db.execute(_READINGS, {"stream": stream, "times": times, "values": [value] * len(times)})
                self.db.execute(
                    "update store.latest set value = %s, phenomenon_time = %s where datastream_id = %s",
                    (value, times[0], stream),
                )

    def tank(self, metres: float, minutes_ago: float = 1) -> None:
        """The newest level of the tank, which swings between 2 and 4 m."""
        self.db.execute(
            "update store.latest set value = %s, phenomenon_time = now() - %s * interval '1 minute' "
            "where datastream_id = %s",
            (metres, minutes_ago, self.stream(TANK, "water_tank_level")),
        )


def build(db: psycopg.Connection[Any]) -> SmallCity:
    """Fill a migrated database with two cities in which all is well. Needs an autocommit connection."""
    register(db, parse(_description()))
    for sql in (_MINUTES, _HEARD, _HOURS):
        db.execute(sql)
    city, now = SmallCity(db), utc_now().replace(minute=0, second=0, microsecond=0)
    nights = [now - timedelta(hours=hour) for hour in range(3, 60)]
    for number in (1, 2, 3, 4):
        for column, value in zip(COLUMNS, (100.0, 100.0, 230.0), strict=True):
            stream = city.stream(LAMPS, f"{column}:lamp{number}")
            db.execute(_READINGS, {"stream": stream, "times": nights, "values": [value] * len(nights)})
    hours = [now - timedelta(hours=hour) for hour in range(1, 24 * 10)]
    level = city.stream(TANK, "water_tank_level")
    swing = [2.0 + 2.0 * (at.hour % 12) / 11 for at in hours]
    db.execute(_READINGS, {"stream": level, "times": hours, "values": swing})
    db.execute(_NEWEST)
    rollup.refresh(db)
    return city
