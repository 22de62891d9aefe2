"""What cells and stamps mean: units, missing values, devices, zones, and the hours that clocks repeat or skip."""

from datetime import UTC, datetime
from typing import Any

import pytest
from pydantic import ValidationError

from qytet_contract import records
from qytet_edge.inbox.files.columns import Column, Row, Table
from qytet_edge.inbox.files.stamps import Passes, Stamps, Time

ISO = {"column": "t", "zone": "Europe/Tirane"}


def ms(text: str) -> int:
    return round(datetime.fromisoformat(text).timestamp() * 1000)


def column(**settings: Any) -> Column:
    return Column.model_validate({"column": "v", "key": "air_temperature"} | settings)


def read(cell: Any, **settings: Any) -> Row:
    return Table(["v"], [column(**settings)], None, device="box").row([cell])


def value(cell: Any, **settings: Any) -> Any:
    row = read(cell, **settings)
    assert row.wrong == ()
    key = settings.get("key", "air_temperature")
    return row.readings[0].values[key]


def test_values_come_in_the_catalogues_unit() -> None:
    """Named units are converted, scale and offset come before, and what needs neither stays as it was written."""
    assert value("21.50") == 21.5
    assert value("212", unit="[degF]") == pytest.approx(100)
    assert value("100.59", key="water_flow_rate", unit="L/s") == pytest.approx(362.124)
    assert value("64.375", key="vehicle_speed_mean", scale=1.609344) == pytest.approx(103.60152)
    assert value("234", scale=0.1) == 23.4
    assert value("3", scale=2, offset=-1) == 5
    count = value("7", key="vehicle_count:lane1")
    assert (count, type(count)) == (7, int)
    assert value(-0.5) == -0.5
    assert value("+1e-3") == 0.001


@pytest.mark.parametrize("cell", ["NA", " NA ", "-999", "-999.0", -999])
def test_a_named_missing_value_is_recorded_as_none(cell: Any) -> None:
    """What an instrument writes for "no value" becomes one that is measured and empty, in whatever form."""
    assert value(cell, missing=["NA", -999]) is None


@pytest.mark.parametrize("cell", ["", "   ", None])
def test_a_blank_cell_says_nothing(cell: Any) -> None:
    """A blank cell is not a measurement."""
    assert read(cell) == Row((), None)


@pytest.mark.parametrize(
    "cell", ["abc", "1,5", "1_000", "nan", "inf", "1.2.3", "0x10", "--1", True, {}, "9" * 400]
)
def test_what_is_no_number_is_told_and_never_stored(cell: Any) -> None:
    """Texts that Python would take for numbers are refused, too; the row's other cells stand."""
    table = Table(["v", "w"], [column(), column(column="w", key="relative_humidity")], None, device="box")
    row = table.row([cell, "55"])
    assert [dict(reading.values) for reading in row.readings] == [{"relative_humidity": 55}]
    assert len(row.wrong) == 1
    assert "column v" in row.wrong[0]


def test_the_decimal_mark_is_the_instruments() -> None:
    """With a comma as the mark, 21,5 is a number."""
    table = Table(["v"], [column()], None, device="box", decimal=",")
    assert dict(table.row(["21,5"]).readings[0].values) == {"air_temperature": 21.5}


def test_each_column_of_a_wide_file_can_be_a_device() -> None:
    """One pattern makes a device of each column; a hundred columns are a hundred readings of one instant."""
    names = ["t", *(str(773000 + number) for number in range(100))]
    wide = column(column="", match=r"\d{6}", device="loop-{column}", key="vehicle_speed_mean")
    table = Table(names, [wide], Time.model_validate(ISO), device="box")
    row = table.row(["2026-01-01T12:00", *map(str, range(100))])
    assert [reading.device for reading in row.readings] == [f"loop-{name}" for name in names[1:]]
    assert {reading.t_ms for reading in row.readings} == {ms("2026-01-01T11:00+00:00")}
    assert {reading.tq for reading in row.readings} == {"rtc"}


def test_each_row_of_a_long_file_can_be_a_device() -> None:
    """Device and channel come from the row; a name that cannot be one costs the cell and is told."""
    long = column(device="meter-{who}", key="water_flow_rate:{pipe}")
    table = Table(["who", "pipe", "v"], [long], None, device="box")
    row = table.row([" North ", "a", "3"])
    assert (row.readings[0].device, dict(row.readings[0].values)) == ("meter-north", {"water_flow_rate:a": 3})
    for who, pipe in (("Noël", "a"), ("north", "a b"), ("", "")):
        bad = table.row([who, pipe, "3"])
        assert (bad.readings, len(bad.wrong)) == ((), 1)


def test_more_values_than_a_record_may_hold_become_two_records() -> None:
    """The contract's bound on values splits a row; nothing is left out."""
    names = [f"c{number}" for number in range(100)]
    table = Table(names, [column(column="", match="c.*", key="water_pressure:{column}")], None, device="box")
    row = table.row(["1"] * 100)
    assert [len(reading.values) for reading in row.readings] == [records.MAX_VALUES, 100 - records.MAX_VALUES]


def test_a_header_that_lacks_a_column_is_told_at_once() -> None:
    """A misspelt column name is an error that names what there is, not a file without readings."""
    with pytest.raises(ValueError, match="no column 'v'; there are T, RH"):
        Table(["T", "RH"], [column()], None, device="box")


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"key": "temperature"}, "no property"),
        ({"key": "air_temperature:A B"}, "key"),
        ({"unit": "furlong"}, "no conversion"),
        ({"match": "x"}, "either"),
        ({"column": "", "match": "("}, "regular expression"),
        ({"device": "Box 1"}, "a-z"),
        ({"columns": "v"}, "Extra"),
    ],
)
def test_a_column_that_means_nothing_is_refused_with_the_configuration(
    settings: dict[str, Any], words: str
) -> None:
    """What cannot be kept is known before the first row is read."""
    with pytest.raises(ValidationError, match=words):
        column(**settings)


def instants(stamps: list[str], passes: Passes | None = None, **rule: Any) -> list[int]:
    reader = Stamps(Time.model_validate(ISO | rule), {} if passes is None else passes)
    return [reader.instant(stamp) for stamp in stamps]


def test_stamps_mean_what_their_zone_says() -> None:
    """Civil time, fixed offsets, offsets of their own and Unix time all arrive at the same instant."""
    noon = ms("2026-07-01T10:00+00:00")
    assert instants(["2026-07-01 12:00:00"]) == [noon]
    assert instants(["01/07/2026 11:00"], zone="+01:00", format="%d/%m/%Y %H:%M") == [noon]
    assert instants(["2026-07-01T12:00:00+02:00", "2026-07-01T10:00:00Z"], zone="stamp") == [noon, noon]
    assert instants([str(noon // 1000)], zone="stamp", format="unix") == [noon]
    assert instants([str(noon + 7)], zone="stamp", format="unix_ms") == [noon + 7]


def test_the_repeated_hour_is_read_in_order() -> None:
    """Stamps of the autumn hour mean its first pass until they stop rising, also across a restart within it."""
    autumn = [
        "2026-10-25T01:30",
        "2026-10-25T02:00",
        "2026-10-25T02:30",
        "2026-10-25T02:00",
        "2026-10-25T02:30",
    ]
    half_hours = [ms("2026-10-24T23:30+00:00") + 1_800_000 * step for step in range(5)]
    assert instants(autumn) == half_hours
    for cut in range(len(autumn)):
        passes: Passes = {}
        assert instants(autumn[:cut], passes) + instants(autumn[cut:], passes) == half_hours
    assert instants(["2026-10-25T02:30"], fold="second") == [half_hours[4]]
    passes = {}
    instants([*autumn, "2026-10-26T00:00"], passes)
    assert passes == {}


def test_the_skipped_hour_is_refused_or_read_as_told() -> None:
    """A stamp that civil time does not have is not guessed at."""
    with pytest.raises(ValueError, match="jumped"):
        instants(["2026-03-29T02:30"])
    assert instants(["2026-03-29T02:30"], skipped="before") == [ms("2026-03-29T01:30+00:00")]


@pytest.mark.parametrize(
    "stamp", ["", "yesterday", "2026-13-01T00:00", "1970-01-01T00:00", "2101-01-01T00:00"]
)
def test_a_row_without_a_possible_time_is_told_and_not_stored(stamp: str) -> None:
    """Unreadable stamps, and those of a clock that was never set, cost the row."""
    table = Table(["t", "v"], [column()], Time.model_validate(ISO), device="box")
    row = table.row([stamp, "1"])
    assert (row.readings, len(row.wrong)) == ((), 1)


def test_date_and_time_may_stand_in_two_columns() -> None:
    """Their texts are joined by a space."""
    rule = Time.model_validate({"column": ["d", "c"], "format": "%d.%m.%Y %H:%M", "zone": "UTC"})
    table = Table(["d", "c", "v"], [column()], rule, device="box")
    assert table.row(["24.12.2026", "18:30", "1"]).t_ms == ms("2026-12-24T18:30+00:00")
    assert datetime.fromtimestamp(ms("2026-12-24T18:30+00:00") / 1000, UTC).hour == 18


@pytest.mark.parametrize(
    "rule", [{"zone": "Europe/Nowhere"}, {"format": "unix"}, {"column": []}, {"fold": "both"}]
)
def test_a_rule_of_time_that_contradicts_itself_is_refused(rule: dict[str, Any]) -> None:
    """Unknown zones, Unix time with a zone, and stamps from nowhere are refused with the configuration."""
    with pytest.raises(ValidationError):
        Time.model_validate(ISO | rule)
