"""The checks can fail: a panel made by hand is well, and each mistake in it is found."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.dashboards import needs
from tests.dashboards.asking import unknown_names
from tests.dashboards.boards import Board, Panel
from tests.dashboards.grafana.frames import Frame, as_format, column
from tests.dashboards.grafana.span import span

NOON = datetime(2026, 5, 1, 12, tzinfo=UTC)
LATER = NOON + timedelta(hours=1)
TIMESTAMPTZ, FLOAT8, INT8, TEXT, NUMERIC, JSONB = 1184, 701, 20, 25, 1700, 3802
TIMES = ("time", TIMESTAMPTZ, [NOON, LATER])
LABELS = ("label", TEXT, ["a", "b"])
MEANS = ("mean", FLOAT8, [1.0, 2.0])
PLACES = [("lat", FLOAT8, [41.3, 41.4]), ("lon", FLOAT8, [19.8, 19.9])]


def panel(kind: str, options: dict[str, Any] | None = None, **field_config: Any) -> Panel:
    known = {"defaults": {}, "overrides": [], **field_config}
    return Panel(
        "made-by-hand", {"type": kind, "id": 1, "title": kind, "options": options or {}, "fieldConfig": known}
    )


def frame(*columns: tuple[str, int, list[Any]], form: str = "table") -> Frame:
    return as_format(Frame(tuple(column(*one) for one in columns)), form)


MAP = {
    "layers": [
        {"type": "markers", "location": {"mode": "auto"}, "config": {"style": {"color": {"field": "value"}}}}
    ]
}
WELL: list[tuple[Panel, Frame]] = [
    (panel("timeseries"), frame(TIMES, LABELS, MEANS, form="time_series")),
    (panel("stat"), frame(MEANS)),
    (panel("stat", {"reduceOptions": {"fields": "/^label$/"}}), frame(LABELS, MEANS)),
    (panel("bargauge", {"reduceOptions": {"values": True}}), frame(LABELS, MEANS)),
    (panel("barchart", {"xField": "label"}), frame(LABELS, MEANS)),
    (panel("table"), frame(LABELS, MEANS)),
    (panel("geomap", MAP), frame(*PLACES, ("value", FLOAT8, [1, 2]))),
    (panel("state-timeline"), frame(TIMES, LABELS, ("state", INT8, [1, 2]), form="time_series")),
    (panel("heatmap"), frame(TIMES, MEANS, form="time_series")),
]
ILL: list[tuple[str, Panel, Frame]] = [
    ("no rows", panel("stat"), frame(("mean", FLOAT8, []))),
    ("no number", panel("timeseries"), frame(TIMES)),
    ("no time column", panel("timeseries"), frame(MEANS)),
    ("not ascending", panel("timeseries"), frame(("time", TIMESTAMPTZ, [LATER, NOON]), MEANS)),
    ("null in time", panel("timeseries"), frame(("time", TIMESTAMPTZ, [NOON, None]), MEANS)),
    ("ask for time_series", panel("timeseries"), frame(TIMES, LABELS, MEANS)),
    (
        "nothing but null",
        panel("timeseries"),
        frame(TIMES, ("mean", FLOAT8, [None, None]), form="time_series"),
    ),
    (
        "one is lost",
        panel("timeseries"),
        frame(("time", TIMESTAMPTZ, [NOON, NOON]), ("label", TEXT, ["a", "a"]), MEANS, form="time_series"),
    ),
    ("numeric", panel("stat"), frame(("mean", NUMERIC, [1]))),
    (
        "on its first page",
        panel("state-timeline", {"perPage": 1}),
        frame(TIMES, ("label", TEXT, ["a", "b"]), ("state", INT8, [1, 2]), form="time_series"),
    ),
    (
        "2 has no word",
        panel("state-timeline", defaults={"mappings": [{"type": "value", "options": {"1": {}}}]}),
        frame(TIMES, ("label", TEXT, ["a", "b"]), ("state", INT8, [1, 2]), form="time_series"),
    ),
    (
        "hides their words",
        panel(
            "state-timeline",
            defaults={"mappings": [{"options": {"1": {}, "2": {}}}], "color": {"mode": "thresholds"}},
        ),
        frame(TIMES, ("label", TEXT, ["a", "b"]), ("state", INT8, [1, 2]), form="time_series"),
    ),
    ("json", panel("table"), frame(("args", JSONB, [{}]))),
    ("no number", panel("stat"), frame(LABELS)),
    ("nothing but null", panel("gauge"), frame(("mean", FLOAT8, [None]))),
    ("matches nothing", panel("stat", {"reduceOptions": {"fields": "/^state$/"}}), frame(MEANS)),
    (
        "empty cells of 'mean'",
        panel("table", defaults={"noValue": "Nothing is silent."}),
        frame(LABELS, ("mean", FLOAT8, [1.0, None])),
    ),
    ("xField", panel("barchart", {"xField": "city"}), frame(LABELS, MEANS)),
    ("two columns", panel("table"), frame(LABELS, LABELS)),
    ("too many", panel("table"), frame(("n", INT8, list(range(needs.MOST_ROWS + 1))))),
    ("latitude is no column", panel("geomap", MAP), frame(PLACES[1], ("value", FLOAT8, [1, 2]))),
    (
        "not in Albania",
        panel("geomap", MAP),
        frame(("lat", FLOAT8, [19.8]), ("lon", FLOAT8, [41.3]), ("value", INT8, [1])),
    ),
    ("color is shown by", panel("geomap", MAP), frame(*PLACES, MEANS)),
    ("without a layer", panel("geomap"), frame(*PLACES, MEANS)),
    (
        "an override is for",
        panel("table", overrides=[{"matcher": {"id": "byName", "options": "x"}}]),
        frame(MEANS),
    ),
    (
        "matches nothing",
        panel("table", overrides=[{"matcher": {"id": "byRegexp", "options": "/^x/"}}]),
        frame(MEANS),
    ),
    (
        "a link names",
        panel("table", defaults={"links": [{"url": "/d/x?var-device=${__data.fields.device}"}]}),
        frame(MEANS),
    ),
    (
        "names the label",
        panel("timeseries", defaults={"displayName": "${__field.labels.device}"}),
        frame(TIMES, LABELS, MEANS, form="time_series"),
    ),
    ("does not know", panel("crystal-ball"), frame(MEANS)),
]


@pytest.mark.parametrize(("shown", "given"), WELL, ids=[one[0].type for one in WELL])
def test_a_panel_that_is_well_has_no_problems(shown: Panel, given: Frame) -> None:
    """What each visualisation needs is enough for it."""
    assert needs.problems(shown, [given]) == []


@pytest.mark.parametrize(("why", "shown", "given"), ILL, ids=[f"{p.type}: {why}" for why, p, _ in ILL])
def test_a_mistake_is_found(why: str, shown: Panel, given: Frame) -> None:
    """Each mistake that a board could make is named."""
    found = needs.problems(shown, [given])
    assert any(why in problem for problem in found), found


def test_names_that_nobody_knows_are_found() -> None:
    """A variable that the board lacks would reach the database as it stands."""
    board = Board({"uid": "x", "templating": {"list": [{"name": "city", "type": "custom"}]}})
    assert unknown_names("select $city, ${site:csv}, $__timeFilter(t), $__user", board) == {"site", "__user"}


def test_ranges_are_understood() -> None:
    """Relative ranges end in instants, whole days in the cities' zone."""
    six = span("now-6h", "now", NOON)
    assert (six.since, six.till) == (NOON - timedelta(hours=6), NOON)
    yesterday = span("now-1d/d", "now-1d/d", NOON)
    assert yesterday.since == datetime(2026, 4, 29, 22, tzinfo=UTC)
    assert yesterday.till == datetime(2026, 4, 30, 21, 59, 59, 999_000, tzinfo=UTC)
    with pytest.raises(ValueError, match="understood"):
        span("yesterday", "now", NOON)
