"""What the node accepted, beside what the city stored: every record and every value, or it is said which is missing."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import psycopg

from tests.nodes.street import Made

__all__ = ["Verdict", "judge"]

_LEDGER = """
select boot, received::text, rejected::text, dropped::text
from store.delivery join store.device using (device_id) where name = %(device)s
"""
_READINGS = """
select key, (extract(epoch from phenomenon_time) * 1000)::bigint, value from qytet.reading where device = %(device)s
"""
_UNDATED = "select boot, seq from qytet.undated where device = %(device)s"


@dataclass(frozen=True)
class Verdict:
    """The account. `dropped`: records that the node itself counted as given up, the oldest first.

    `unheard`: received, though the witness could not tell of it: the power went between the flash and its words.
    """

    accepted: int
    received: int
    dropped: int
    lost: list[tuple[str, int]] = field(repr=False)
    """Accepted, and neither received nor told as dropped."""
    rejected: int
    unheard: int
    readings: int
    wrong: list[Made] = field(repr=False)
    """Received records whose values are stored otherwise, or not at all."""
    extra: int
    """Readings that belong to no record that the witness told of."""
    missing: int


def judge(connection: psycopg.Connection[Any], device: str, made: Mapping[tuple[str, int], Made]) -> Verdict:
    """Compare. Readings lie in a table whose key admits each once, so doubled ones would be `extra` or `wrong`."""
    ledger = connection.execute(_LEDGER, {"device": device}).fetchall()
    received = {(row[0], seq) for row in ledger for seq in _numbers(row[1])}
    rejected = {(row[0], seq) for row in ledger for seq in _numbers(row[2])}
    dropped = {(row[0], seq) for row in ledger for seq in _numbers(row[3])} - received - rejected
    undated = set(connection.execute(_UNDATED, {"device": device}).fetchall())
    stored = {
        (key, t): value for key, t, value in connection.execute(_READINGS, {"device": device}).fetchall()
    }
    begun = _beginnings(made.values())
    found: set[tuple[str, int]] = set()
    wrong = []
    for identity in received & made.keys() - undated:
        one = made[identity]
        at = _stored_at(one, [one.t] if one.t is not None else [t + one.up for t in begun[one.boot]], stored)
        if at is None:
            wrong.append(one)
        else:
            found |= {(key, at) for key in one.values}
    known = received | rejected | dropped
    return Verdict(
        accepted=len(made),
        received=len(received),
        dropped=len(dropped & made.keys()),
        lost=sorted(made.keys() - known),
        rejected=len(rejected),
        unheard=len(received - made.keys()),
        readings=len(stored),
        wrong=wrong,
        extra=len(stored.keys() - found),
        missing=_missing(connection, device),
    )


def _beginnings(made: Iterable[Made]) -> dict[str, set[int]]:
    """When each boot began by its clock (Unix ms), more than one if it was set again: dates what has no time."""
    found: dict[str, set[int]] = {}
    for one in made:
        if one.t is not None:
            found.setdefault(one.boot, set()).add(one.t - one.up)
    return found


def _stored_at(one: Made, times: Iterable[int], stored: Mapping[tuple[str, int], float | None]) -> int | None:
    """The one of these times at which all values of the record are stored as they were made; None if there is none."""
    for t in times:
        if all((key, t) in stored and stored[key, t] == _number(value) for key, value in one.values.items()):
            return t
    return None


def _number(value: float | None) -> float | None:
    return None if value is None else float(value)


def _missing(connection: psycopg.Connection[Any], device: str) -> int:
    row = connection.execute(
        "select sum(missing) from qytet.delivery where device = %(device)s", {"device": device}
    ).fetchone()
    return int(row[0] or 0) if row else 0


def _numbers(multirange: str) -> Iterable[int]:
    """`{[1,5),[7,8)}` as numbers."""
    for part in multirange.strip("{}").replace("),", ");").split(";"):
        if part:
            low, high = part.strip("[)").split(",")
            yield from range(int(low), int(high))
