"""What operators ask of and do to single devices: list, show, adopt from dead letters, retire."""

from datetime import datetime
from typing import Any

import psycopg
from psycopg.rows import dict_row

from qytet.db.registry import Description, Device, register
from qytet.errors import InputError, NotFoundError
from qytet_contract import codes, records, strictjson, topics
from qytet_contract.codes import ContractError

__all__ = ["adopt", "list_devices", "replay_hint", "retire", "show"]

_SAMPLE = 1000  # dead letters that are looked at to learn what an unknown device measures

Row = dict[str, Any]


def list_devices(connection: psycopg.Connection[Any], city: str = "") -> list[Row]:
    """All devices (of one city), each with state and number of datastreams, by city and name."""
    return _rows(connection, _LIST, {"city": city})


def show(connection: psycopg.Connection[Any], name: str) -> Row:
    """One device: its place, datastreams with newest values, delivery by boot, and open dead letters.

    Raises NotFoundError.
    """
    found = _rows(connection, _DEVICE, {"name": name})
    if not found:
        raise _unknown(connection, name)
    return {
        **found[0],
        "datastreams": _rows(connection, _STREAMS, {"name": name}),
        "delivery": _rows(connection, _DELIVERY, {"name": name}),
        "open_dead_letters": _rows(connection, _OPEN, {"name": name}),
    }


def adopt(
    connection: psycopg.Connection[Any],
    name: str,
    *,
    city: str,
    site: str,
    profile: str,
    datastreams: list[str],
) -> Row:
    """Register a device that only dead letters know; its datastreams are learnt from them if none are given.

    Returns the registered keys and how many dead letters wait to be replayed. Raises NotFoundError if no
    dead letter names it, InputError if it is registered or its datastreams cannot be learnt.
    """
    if _rows(connection, _DEVICE, {"name": name}):
        raise InputError(f"The device {name} is registered already.", do=f"Replay: {replay_hint(name)}")
    letters = _rows(
        connection, _UNKNOWN_LETTERS, {"name": name, "reason": codes.UNKNOWN_DEVICE, "limit": _SAMPLE}
    )
    if not letters:
        raise NotFoundError(
            f"No dead letter names an unknown device {name}.",
            do="Look at `qytet deadletter list`; a device that has not spoken yet: `qytet device register`.",
        )
    keys = datastreams or sorted({key for letter in letters for key in _keys(letter["payload"])})
    if not keys:
        raise InputError(f"What {name} measures cannot be learnt from its messages.", do="Give --datastream.")
    parsed = [topics.parse(letter["topic"]) for letter in letters]
    gateways = sorted({found[3] for found in parsed if found and found[3]})
    device = Device(name, city, site, profile, keys, gateway=gateways[0] if gateways else None)
    register(connection, Description(devices=[device]))
    return {"device": name, "datastreams": keys, "gateway": device.gateway, "waiting": letters[0]["waiting"]}


def replay_hint(name: str) -> str:
    """The command that replays what waits for a device."""
    return f"qytet deadletter replay --device {name}"


def retire(connection: psycopg.Connection[Any], name: str, at: datetime | None = None) -> datetime:
    """End a device's service and its datastreams at `at` (default: now); its readings stay. Returns the end.

    Raises NotFoundError, or InputError if it is retired already or `at` lies before its service began.
    """
    with connection.transaction(), connection.cursor(row_factory=dict_row) as cursor:
        found = cursor.execute(_LOCK, {"name": name, "at": at}).fetchone()
        if found is None:
            raise _unknown(connection, name)
        if found["ended"] is not None:
            raise InputError(f"The device {name} was retired at {found['ended'].isoformat()}.")
        if found["began"] is not None and found["at"] <= found["began"]:
            raise InputError(
                f"{name} cannot be retired at {found['at'].isoformat()}.",
                why=f"It, or one of its datastreams, began at {found['began'].isoformat()}.",
            )
        cursor.execute(_END_STREAMS, {"name": name, "at": found["at"]})
        cursor.execute(_END_DEVICE, {"name": name, "at": found["at"]})
    end: datetime = found["at"]
    return end


def _keys(payload: bytes) -> set[str]:
    """The keys that one message (birth, obs or hist) measures; none if it cannot be read."""
    try:
        value = strictjson.loads(payload)
    except ContractError:
        return set()
    if not isinstance(value, dict):
        return set()
    groups = [value.get("m"), *(row[4] for row in _lists(value.get("r")) if len(row) == 5)]
    found = {key for group in groups if isinstance(group, dict) for key in group}
    found.update(row[0] for row in _lists(value.get("ds")) if row and isinstance(row[0], str))
    return {key for key in found if _is_key(key)}


def _lists(value: object) -> list[list[Any]]:
    return [row for row in value if isinstance(row, list)] if isinstance(value, list) else []


def _is_key(key: str) -> bool:
    try:
        records.check_key(key)
    except ContractError:
        return False
    return True


def _unknown(connection: psycopg.Connection[Any], name: str) -> NotFoundError:
    waiting = connection.execute(_WAITING, {"name": name, "reason": codes.UNKNOWN_DEVICE}).fetchone()
    if waiting and waiting[0]:
        return NotFoundError(
            f"The device {name} is not registered.",
            why=f"{waiting[0]} dead letters name it.",
            do=f"Adopt it: qytet device adopt {name} --city … --site … --profile …",
        )
    return NotFoundError(f"The device {name} is not registered.", do="`qytet device list` names all.")


def _rows(connection: psycopg.Connection[Any], query: str, values: Row) -> list[Row]:
    with connection.cursor(row_factory=dict_row) as cursor:
        return cursor.execute(query, values).fetchall()


_LIST = """
select d.device, d.city, d.site, d.profile, d.gateway, d.valid_from, d.valid_to, d.state, d.state_at, d.seen_at,
       (select count(*) from qytet.datastream s where s.device = d.device) as datastreams
from qytet.device d
where %(city)s = '' or d.city = %(city)s
order by d.city, d.device
"""
_DEVICE = """
select device, city, site, site_name, lat, lon, profile, gateway, valid_from, valid_to, state, state_at, boot,
       firmware, board, birth_at, seen_at
from qytet.device where device = %(name)s
"""
_STREAMS = """
select s.datastream_id, s.key, s.ucum, s.valid_from, s.valid_to, l.phenomenon_time, l.value, l.quality
from qytet.datastream s left join qytet.latest l using (datastream_id)
where s.device = %(name)s order by s.key, s.valid_from
"""
_DELIVERY = """
select boot, last_seq, stored_mark, received, rejected, dropped, missing, duplicates, late, first_seen, last_seen
from qytet.delivery where device = %(name)s order by first_seen
"""
_OPEN = """
select reason, count(*) as messages, sum(seen)::bigint as seen, max(last_seen) as last_seen
from qytet.dead_letter where device = %(name)s and replayed_at is null group by reason order by reason
"""
_UNKNOWN_LETTERS = """
select topic, payload, count(*) over () as waiting
from store.dead_letter
where device = %(name)s and reason = %(reason)s and replayed_at is null
order by dead_letter_id desc limit %(limit)s
"""
_WAITING = """
select count(*) from store.dead_letter
where device = %(name)s and reason = %(reason)s and replayed_at is null
"""
_LOCK = """
select upper(d.valid) as ended, coalesce(%(at)s::timestamptz, now()) as at,
       greatest(lower(d.valid), (select max(lower(s.valid)) from store.datastream s
                                 where s.device_id = d.device_id and upper_inf(s.valid))) as began
from store.device d where d.name = %(name)s for update
"""
_END_STREAMS = """
update store.datastream set valid = tstzrange(lower(valid), %(at)s)
where device_id = (select device_id from store.device where name = %(name)s) and upper_inf(valid)
"""
_END_DEVICE = "update store.device set valid = tstzrange(lower(valid), %(at)s) where name = %(name)s"
