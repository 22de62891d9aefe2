"""The boards of lighting, water and the fleet in a city that began minutes ago and where nothing is wrong."""

from collections.abc import Iterator
from datetime import timedelta

import pytest

from qytet.catalogue import properties
from qytet.db import rollup
from qytet.db.migrate import connect, migrate
from qytet_dashboards.vocabulary import Words
from qytet_simulators.city.profiles import PROFILES
from tests.dashboards import needs
from tests.dashboards.asking import Asker, utc_now
from tests.dashboards.boards import Board, Panel, boards
from tests.db.places import Place, steps
from tests.servers.database import DatabaseServer, fresh_database

_BOARDS = [board for board in boards() if board.bare in ("lighting", "water", "fleet")]
_PANELS = [(board, panel) for board in _BOARDS for panel in board.panels]
_RESTING = {
    "lamp_active_power": 0.0,
    "lamp_dimming_level": 0.0,
    "water_free_chlorine": 0.4,
    "water_pressure": 3.0,
}
"""What would be a fault, were it in the middle of its range."""


@pytest.fixture(scope="module")
def asker(postgres_server: DatabaseServer) -> Iterator[Asker]:
    """Asks a city with one device of each kind, all of them in order and ten minutes old."""
    now = utc_now()
    with fresh_database(postgres_server) as url, connect(url) as connection:
        migrate(connection)
        place = Place(connection)
        for profile in PROFILES.values():
            place.device(profile.name, profile.datastreams(profile.channels))
        times = steps(now - timedelta(seconds=30), 10, timedelta(minutes=1))
        place.store({key: [(time, _value(key)) for time in times] for key in place.streams})
        rollup.refresh(connection)
        yield Asker(connection, now)


def _value(key: str) -> float:
    name = key.partition("/")[2].partition(":")[0]
    row = properties()[name]
    return _RESTING.get(name, min(1.0, row.suspect_max) if row.suspect_min <= 1 else row.suspect_min)


@pytest.mark.parametrize(("board", "panel"), _PANELS, ids=[panel.name for _, panel in _PANELS])
def test_a_panel_without_rows_says_why(asker: Asker, board: Board, panel: Panel) -> None:
    """On the first morning a panel shows values, or says what there is none of: never that there is no data."""
    found = needs.problems(panel, asker.frames(panel, asker.context(board, asker.filled(board), panel)))
    if found == ["no rows"] or any("nothing but null" in problem for problem in found):
        words = Words(board.uid.rpartition("-")[2])
        assert panel.type != "state-timeline", "Grafana says of an empty one that there is no data"
        assert panel.defaults.get("noValue") not in (None, "", words("boards.empty"))
    else:
        assert found == []


def test_the_usual_day_has_every_hour(asker: Asker) -> None:
    """On the first morning the usual day is an empty one, as Grafana shows no bar chart without rows."""
    board = next(board for board in boards() if board.bare == "traffic")
    (panel,) = (panel for panel in board.panels if panel.type == "barchart")
    (frame,) = asker.frames(panel, asker.context(board, asker.filled(board), panel))
    assert [one.values for one in frame.fields if one.name == "hour"] == [tuple(f"{n:02}" for n in range(24))]


_ANOTHER = """
insert into store.site (city_id, slug, name, lat, lon)
select city_id, slug || '-2', name, lat, lon from store.site order by site_id limit 1
"""


@pytest.mark.parametrize("board", _BOARDS, ids=[board.uid for board in _BOARDS])
def test_sites_of_one_name_are_told_apart(asker: Asker, board: Board) -> None:
    """Two sites that people call the same can both be chosen."""
    (model,) = (one for one in board.variables if one["name"] == "site")
    with asker.connection.transaction(force_rollback=True):
        asker.connection.execute(_ANOTHER.encode())
        fresh = Asker(asker.connection, asker.now)
        texts, frame = fresh.options(model, fresh.context(board, board.opening()))
        assert len(texts) == frame.rows >= 2


@pytest.mark.parametrize(
    ("bare", "whole", "parts"),
    [
        ("lighting", "lamps", ["lit", "off", "dark", "day_burning", "cycling", "off_expectation", "unknown"]),
        ("fleet", "devices", ["fine", "late", "silent", "behind", "asleep", "never"]),
    ],
)
def test_counts_by_state_leave_nobody_out(asker: Asker, bare: str, whole: str, parts: list[str]) -> None:
    """The first panel's numbers by state add up to the number of all."""
    board = next(board for board in _BOARDS if board.bare == bare)
    (frame,) = asker.frames(board.panels[0], asker.context(board, asker.filled(board), board.panels[0]))
    (row,) = zip(*(one.values for one in frame.fields), strict=True)
    numbers = dict(zip((one.name for one in frame.fields), row, strict=True))
    assert numbers.pop(whole) == sum(numbers[part] for part in parts)
    assert set(numbers) == set(parts)
