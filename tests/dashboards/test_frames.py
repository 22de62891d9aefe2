"""Rows become the frames that Grafana would make of them, its errors included."""

import math
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.dashboards.grafana.display import display_name, templated, transformed
from tests.dashboards.grafana.expressions import Number, evaluate, read
from tests.dashboards.grafana.frames import Frame, FrameError, as_format, column

NOON = datetime(2026, 5, 1, 12, tzinfo=UTC)
LATER = NOON + timedelta(hours=1)
TIMESTAMPTZ, FLOAT8, INT8, TEXT, BOOL, NUMERIC, JSONB = 1184, 701, 20, 25, 16, 1700, 3802


def frame(*columns: tuple[str, int, list[Any]]) -> Frame:
    return Frame(tuple(column(*one) for one in columns))


def test_types_of_postgresql_become_kinds_of_grafana() -> None:
    """Numbers, times, booleans and json are told apart; everything else is text."""
    kinds = [
        column("c", oid, []).kind
        for oid in (INT8, FLOAT8, NUMERIC, BOOL, TIMESTAMPTZ, 1082, JSONB, TEXT, 1007)
    ]
    assert kinds == ["number"] * 3 + ["boolean", "time", "time", "other", "string", "string"]


def test_long_rows_become_one_column_a_series_and_instants_that_lack_a_value_are_null() -> None:
    """Text columns become labels, instants are shared by all series."""
    long = frame(
        ("time", TIMESTAMPTZ, [NOON, NOON, LATER]),
        ("label", TEXT, ["a", "b", "b"]),
        ("mean", FLOAT8, [1, 2, 3]),
    )
    wide = as_format(long, "time_series")
    assert [(one.name, dict(one.labels), one.values) for one in wide.fields] == [
        ("Time", {}, (NOON, LATER)),
        ("mean", {"label": "a"}, (1.0, None)),
        ("mean", {"label": "b"}, (2.0, 3.0)),
    ]
    assert [display_name(one, [wide]) for one in wide.fields] == ["Time", "mean a", "mean b"]


def test_a_column_called_metric_names_the_series_if_there_are_three() -> None:
    """With time, metric and value alone, the metric's text is the name; with more columns it is a label."""
    times, names = ("time", TIMESTAMPTZ, [NOON]), ("metric", TEXT, ["a"])
    three = as_format(frame(times, names, ("value", FLOAT8, [1])), "time_series")
    assert [(one.name, dict(one.labels)) for one in three.fields[1:]] == [("a", {})]
    four = as_format(frame(times, names, ("value", FLOAT8, [1]), ("n", INT8, [1])), "time_series")
    assert [(one.name, dict(one.labels)) for one in four.fields[1:]] == [
        ("n", {"metric": "a"}),
        ("value", {"metric": "a"}),
    ]


def test_two_rows_with_one_time_and_label_are_noticed() -> None:
    """Grafana keeps the last of them in silence; the bench says so."""
    twice = frame(("time", TIMESTAMPTZ, [NOON, NOON]), ("label", TEXT, ["a", "a"]), ("mean", FLOAT8, [1, 2]))
    assert "one is lost" in as_format(twice, "time_series").notices[0]


@pytest.mark.parametrize(
    ("columns", "why"),
    [
        ([("at", TIMESTAMPTZ, [NOON]), ("mean", FLOAT8, [1])], "time column is missing"),
        (
            [("time", TIMESTAMPTZ, [LATER, NOON]), ("l", TEXT, ["a", "b"]), ("v", FLOAT8, [1, 2])],
            "sorted ascending",
        ),
        ([("time", TIMESTAMPTZ, [None]), ("l", TEXT, ["a"]), ("v", FLOAT8, [1])], "null time"),
        ([("time", TEXT, ["noon"]), ("v", FLOAT8, [1])], "time field"),
        ([("time", TIMESTAMPTZ, [NOON]), ("v", JSONB, [{}])], "convert value to float"),
    ],
)
def test_what_is_no_time_series_is_the_error_that_grafana_shows(columns: list[Any], why: str) -> None:
    """Time missing, unsorted, null or no time, and values that are no numbers end the query."""
    with pytest.raises(FrameError, match=why):
        as_format(frame(*columns), "time_series")


def test_numbers_in_a_column_called_time_are_epochs_and_booleans_numbers() -> None:
    """Seconds and milliseconds since 1970 are told apart by size; a boolean value is 0 or 1 in a series."""
    seconds = NOON.timestamp()
    shown = as_format(frame(("time", INT8, [seconds]), ("ok", BOOL, [True])), "time_series")
    assert shown.fields[0].values == (NOON,)
    assert shown.fields[1].values == (1.0,)
    assert as_format(frame(("time", INT8, [seconds * 1000])), "table").fields[0].values == (NOON,)


def test_a_result_without_rows_is_a_frame_without_columns() -> None:
    """Grafana drops the columns of an empty result."""
    assert as_format(frame(("time", TIMESTAMPTZ, [])), "table").fields == ()


def test_a_table_of_one_number_and_texts_is_labelled_numbers() -> None:
    """A rule reads each row as a value whose labels are its texts; a null is not a number."""
    table = frame(("city", TEXT, ["tirana", "durres"]), ("silent", INT8, [3, None]))
    first, second = read(as_format(table, "table"))
    assert first == Number(3.0, {"city": "tirana"})
    assert math.isnan(second.value)
    assert read(as_format(frame(("city", TEXT, []), ("silent", INT8, [])), "table")) == []


@pytest.mark.parametrize(
    ("columns", "why"),
    [
        ([("city", TEXT, ["a"]), ("x", INT8, [1]), ("y", INT8, [1])], "number columns"),
        ([("city", TEXT, ["a"]), ("bad", BOOL, [True]), ("x", INT8, [1])], "neither number nor text"),
        ([("city", TEXT, ["a", "a"]), ("x", INT8, [1, 2])], "duplicate results"),
        ([("time", TIMESTAMPTZ, [NOON]), ("city", TEXT, ["a"]), ("x", INT8, [1])], "type long"),
    ],
)
def test_a_table_that_is_no_set_of_numbers_ends_the_rule(columns: list[Any], why: str) -> None:
    """Two numbers, other types, twins and long series are refused by Grafana's expressions."""
    with pytest.raises(FrameError, match=why):
        read(as_format(frame(*columns), "table"))


def test_reduce_and_threshold_decide_what_fires() -> None:
    """A series is reduced to a number and compared; a null never fires; a series is not compared."""
    series = as_format(frame(("time", TIMESTAMPTZ, [NOON, LATER]), ("v", FLOAT8, [1, 9])), "time_series")
    inputs = {"A": read(series)}
    inputs["B"] = evaluate({"type": "reduce", "expression": "A", "reducer": "last", "refId": "B"}, inputs)
    above = {"type": "threshold", "conditions": [{"evaluator": {"type": "gt", "params": [5]}}], "refId": "C"}
    assert [one.value for one in evaluate({**above, "expression": "B"}, inputs)] == [1.0]
    inputs["N"] = [Number(math.nan, {})]
    assert [one.value for one in evaluate({**above, "expression": "N"}, inputs)] == [0.0]
    with pytest.raises(FrameError, match="reduce it first"):
        evaluate({**above, "expression": "A"}, inputs)
    with pytest.raises(FrameError, match="no input"):
        evaluate({**above, "expression": "Z"}, inputs)


def test_names_and_transformations_are_followed() -> None:
    """A displayName's labels are put in, and organize renames, hides and refuses what is not there."""
    wide = as_format(
        frame(
            ("time", TIMESTAMPTZ, [NOON]),
            ("label", TEXT, ["a"]),
            ("city", TEXT, ["t"]),
            ("mean", FLOAT8, [1]),
        ),
        "time_series",
    )
    assert display_name(wide.fields[1], [wide]) == 'mean {city="t", label="a"}'
    assert templated("${__field.labels.label} x", wide.fields[1], [wide]) == "a x"
    table = as_format(frame(("device", TEXT, ["a"]), ("rssi", INT8, [-60])), "table")
    options = {"renameByName": {"device": "Pajisja"}, "excludeByName": {"rssi": True}}
    (shown,) = transformed([table], [{"id": "organize", "options": options}])
    assert [one.name for one in shown.fields] == ["Pajisja"]
    with pytest.raises(ValueError, match="nothing"):
        transformed([table], [{"id": "organize", "options": {"renameByName": {"nothing": "x"}}}])


def test_frames_are_joined_by_a_field() -> None:
    """A row a key; what a query does not have for a key is null, and a query without the field is a mistake."""
    one = as_format(frame(("city", TEXT, ["tirana", "durres"]), ("air", INT8, [2, 3])), "table")
    other = as_format(frame(("city", TEXT, ["durres"]), ("dark", INT8, [5])), "table")
    (joined,) = transformed([one, other], [{"id": "joinByField", "options": {"byField": "city"}}])
    assert {field.name: field.values for field in joined.fields} == {
        "city": ("tirana", "durres"),
        "air": (2.0, 3.0),
        "dark": (None, 5.0),
    }
    with pytest.raises(ValueError, match="not every query"):
        transformed([one, other], [{"id": "joinByField", "options": {"byField": "air"}}])
