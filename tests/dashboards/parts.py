"""What a panel shows for one city is a part of what it shows for all: the same rows, or numbers that add up.

The views are held to this on every tier (`sums`); here each panel's own query is, on one.
"""

import math
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any

import pytest

from tests.dashboards import needs
from tests.dashboards.asking import Asker
from tests.dashboards.boards import Board, Panel, twins
from tests.dashboards.city.scenario import Scenario
from tests.dashboards.grafana.frames import NUMBER, Field, Frame

NEITHER: Mapping[str, str] = {
    "delivery/5": "shares of readings",
    "delivery/12": "the newest 200 rows",
    "fleet/10": "the 24 devices that were heard least",
    "fleet/12": "the 20 weakest signals",
    "fleet/14": "the 20 hottest boards",
    "lighting/15": "the controller that was out of order longest",
    "lighting/16": "the same controller",
    "lighting/17": "the same controller",
    "lighting/18": "the same controller",
    "traffic/8": "means over days, with an hour that still runs",
    "water/2": "the lowest pressure of all",
}
"""Panels whose numbers for all cities are neither rows of theirs nor sums, by board and number, with the reason."""
_CHOOSING = [
    (name, *both[0])
    for name, both in twins()
    if both[0][1].type not in needs.QUIET
    and any(one["name"] == "city" and one.get("multi") for one in both[0][0].variables)
    and any("${city" in target["rawSql"] for target in both[0][1].targets)
]
_BY_THE_CLOCK = ("age", "age_s", "lasting", "lasting_s", "silent_s", "silent", "seen_s", "since_s")
"""Columns of seconds until now, which goes on between two queries."""
_SHARES = ("flagged",)
"""Columns that are a part of a hundred beside others that are counts."""
_NOTHING = "–"
"""The series that a panel shows where there is nothing to show."""
_RUNNING = timedelta(hours=1)
"""How much of the newest is left out: a bucket that has not ended yet has another length in each query."""


@pytest.mark.parametrize(("name", "board", "panel"), _CHOOSING, ids=[one[0] for one in _CHOOSING])
def test_cities_are_parts_of_the_whole(
    asker: Asker, scenario: Scenario, name: str, board: Board, panel: Panel
) -> None:
    """Every row of a city is among those of all cities, or the cities' numbers add up to the number for all."""
    cities = [city.slug for city in scenario.fleet.cities]
    whole = _frames(asker, board, panel, None)
    parts = [_frames(asker, board, panel, city) for city in cities]
    till = asker.now - _RUNNING
    is_part = all(_rows(part, till) <= _rows(whole, till) for part in parts)
    is_sum = _totals(whole) == pytest.approx(_added(map(_totals, parts)))
    assert is_part or is_sum or name in NEITHER, f"{panel.name}: rows {is_part}, sums {is_sum}"


def _frames(asker: Asker, board: Board, panel: Panel, city: str | None) -> list[Frame]:
    choices: dict[str, Any] = {"city": [city]} if city else {}
    return asker.frames(panel, asker.context(board, asker.filled(board, choices), panel))


def _rows(frames: Iterable[Frame], till: datetime) -> set[tuple[Any, ...]]:
    """Each value with its instant, series and column; or each row of a table."""
    found: set[tuple[Any, ...]] = set()
    for frame in frames:
        fields = [one for one in frame.fields if one.name not in _BY_THE_CLOCK]
        time = next((one for one in fields if one.name == "Time"), None)
        if time is None:
            found |= set(zip(*(map(_plain, one.values) for one in fields), strict=True))
            continue
        for one in fields:
            for at, value in zip(time.values, one.values, strict=True):
                if one is not time and value is not None and at < till and one.name != _NOTHING:
                    found.add((frame.ref_id, at, one.name, *sorted(one.labels.items()), _plain(value)))
    return found


def _plain(value: Any) -> Any:
    return float(f"{value:.9g}") if isinstance(value, float) else value


def _totals(frames: Iterable[Frame]) -> dict[str, float]:
    """The sum of each number column."""
    return {
        f"{frame.ref_id}/{one.name}": _total(one)
        for frame in frames
        for one in frame.of(NUMBER)
        if one.name not in (*_BY_THE_CLOCK, *_SHARES)
    }


def _total(one: Field) -> float:
    return math.fsum(value for value in one.values if value is not None)


def _added(totals: Iterable[dict[str, float]]) -> dict[str, float]:
    found: dict[str, float] = {}
    for one in totals:
        for name, value in one.items():
            found[name] = found.get(name, 0.0) + value
    return found
