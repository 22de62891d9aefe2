"""The acceptance record: what was looked at, by whom, when, and the first reading stored; sealed by SHA-256."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from importlib import metadata
from typing import Any

from qytet_bench.acceptance.api import Api, ApiError
from qytet_bench.acceptance.facts import Facts, Subject
from qytet_bench.acceptance.run import Outcome
from qytet_bench.label import Label

__all__ = ["SCHEMA", "VERSION", "Setting", "is_intact", "record"]

SCHEMA, VERSION = "qytet-acceptance", 1


@dataclass(frozen=True, slots=True)
class Setting:
    """Who accepted the node, when (this machine's clock), and how; `mac` is the board's, "" if it is not known."""

    technician: str
    note: str
    started_at: datetime
    ended_at: datetime
    mac: str
    with_console: bool


def record(subject: Subject, api: Api, outcome: Outcome, setting: Setting) -> dict[str, Any]:
    """The record as plain data; it holds no secret."""
    node, device = subject.node, (outcome.facts.device if outcome.facts else None) or {}
    document: dict[str, Any] = {
        "schema": SCHEMA,
        "v": VERSION,
        "result": "passed" if outcome.passed else "failed",
        "device": node.device,
        "city": node.city,
        "site": str(device.get("site") or node.site),
        "place": {name: device.get(name) for name in ("site_name", "lat", "lon")},
        "profile": node.profile,
        "board": node.board,
        "mac": setting.mac,
        "firmware": str(device.get("firmware") or ""),
        "technician": setting.technician,
        "note": setting.note,
        "started_at": _text(setting.started_at),
        "ended_at": _text(setting.ended_at),
        "bench": {
            "version": metadata.version("qytet"),
            "api": api.url,
            "broker": f"{node.broker['host']}:{node.broker['port']}",
            "tls": node.broker["tls"],
            "console": setting.with_console,
        },
        "checks": [check.document() for check in outcome.checks],
        "first_reading": _first_reading(subject, api, outcome.facts),
        "label": Label(node.city, node.device, str(device.get("site") or node.site)).content,
    }
    return {**document, "sha256": _seal(document)}


def is_intact(document: Mapping[str, Any]) -> bool:
    """Whether nothing of a record was changed since it was made."""
    rest = {name: value for name, value in document.items() if name != "sha256"}
    return document.get("schema") == SCHEMA and document.get("sha256") == _seal(rest)


def _seal(document: Mapping[str, Any]) -> str:
    """Over the JSON without spaces, keys sorted, in UTF-8, `sha256` itself left out."""
    text = json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()


def _first_reading(subject: Subject, api: Api, facts: Facts | None) -> dict[str, Any] | None:
    """The first reading of the node's sensors in the database since its present boot began, as far as that is known.

    The API names a reading by its time, not by its boot: `boot` is "" if the times do not prove which it is of.
    `stored_up_to_seq`: every record of the present boot up to this number is stored, refused or given up.
    """
    boot = next((row for row in facts.ledger if row["boot"] == facts.boot), None) if facts else None
    if facts is None or boot is None:
        return None
    keys = [key for row in subject.profile["sensors"] for key in row["keys"] if key in facts.latest]
    begun, heard = _begun(facts, boot), datetime.fromisoformat(boot["first_seen"])
    since = begun or heard - timedelta(seconds=subject.report_s)
    try:
        rows = {key: _observations(api, subject, key, {"from": _text(since), "limit": 1}) for key in keys}
        times = [found[0]["phenomenon_time"] for found in rows.values() if found]
        if not times:
            return None
        first = min(times, key=datetime.fromisoformat)
        values = {
            key: found[0] for key, found in rows.items() if found and found[0]["phenomenon_time"] == first
        }
    except ApiError:
        return None  # it was there a moment ago; the checks tell what was seen
    return {
        "boot": facts.boot if datetime.fromisoformat(first) >= (begun or heard) else "",
        "stored_up_to_seq": boot["stored_mark"],
        "t": first,
        "values": {
            key: {
                "value": row["value"],
                "ucum": facts.latest[key]["ucum"],
                "quality": row["quality"],
                "time_quality": row["time_quality"],
            }
            for key, row in sorted(values.items())
        },
    }


def _begun(facts: Facts, boot: Mapping[str, Any]) -> datetime | None:
    """When the present boot began, by the node's uptime; None if that may still be of the boot before."""
    row = facts.latest.get("uptime")
    if row is None or row["value"] is None:
        return None
    told = datetime.fromisoformat(row["phenomenon_time"])
    if told < datetime.fromisoformat(boot["first_seen"]):
        return None
    return told - timedelta(seconds=float(row["value"]))


def _observations(api: Api, subject: Subject, key: str, more: Mapping[str, object]) -> list[dict[str, Any]]:
    page = api.get("observations", device=subject.node.device, key=key, order="asc", **more)
    return list(page.get("items", []))


def _text(when: datetime) -> str:
    return when.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
