"""What was generated beside what is stored: every reading exactly once, with its value and at its instant."""

from collections import Counter
from dataclasses import dataclass
from typing import Any

import psycopg

from qytet_simulators.device.load import Load

__all__ = ["Difference", "compare_load"]

_STORED = """
select device, key, (extract(epoch from phenomenon_time) * 1000)::bigint, value from qytet.reading
where device like %(prefix)s
"""


@dataclass(frozen=True)
class Difference:
    """Readings: `generated`, and of these `lost` (absent or with another value); `extra` is stored but was not made."""

    generated: int
    stored: int
    lost: int
    duplicated: int
    extra: int


def compare_load(connection: psycopg.Connection[Any], load: Load) -> Difference:
    """Compare a load with the database. The table could hold a reading twice only if its key were broken."""
    stored: Counter[tuple[str, str, int, float]] = Counter()
    with (
        connection.cursor(name="stored")
        if connection.info.transaction_status
        else connection.cursor() as cursor
    ):
        cursor.execute(_STORED, {"prefix": f"{load.prefix}-%"})
        stored.update(cursor)
    generated = lost = 0
    twice = sum(number - 1 for number in stored.values())
    left = stored.copy()
    for device, name in enumerate(load.names):
        for n in range(load.sent_by(device)):
            _seq, t, _up, _tq, values = load.record(device, n)
            for key, value in values.items():
                generated += 1
                assert t is not None
                assert value is not None
                if left.pop((name, key, t, float(value)), 0) == 0:
                    lost += 1
    return Difference(generated, sum(stored.values()), lost, twice, sum(left.values()))
