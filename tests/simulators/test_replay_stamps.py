"""Local stamps to instants: offsets, clock changes, dates and rows by step."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from qytet.errors import InputError
from qytet_simulators.replay import expected
from qytet_simulators.replay.account import Read
from qytet_simulators.replay.readings import readings
from qytet_simulators.replay.stamps import SkippedHourError, Stamps, Time, check_time
from tests.simulators.replay_support import small


def utc(text: str) -> int:
    """Unix milliseconds of a UTC time."""
    return round(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp() * 1000)


def test_an_ordinary_stamp_is_read_in_its_zone() -> None:
    """Tirana is an hour ahead of UTC in winter, two in summer."""
    stamps = Stamps(Time("Europe/Tirane", column="t"))
    assert stamps.instant("2026-01-15T12:00") == utc("2026-01-15T11:00")
    assert stamps.instant("2026-07-15T12:00") == utc("2026-07-15T10:00")


def test_the_repeated_hour_follows_the_order_of_the_file() -> None:
    """On 25 October 2026 02:00 comes twice in Tirana: the second time an hour later."""
    stamps = Stamps(Time("Europe/Tirane", column="t"))
    texts = ["01:30", "02:00", "02:30", "02:00", "02:30", "03:00"]
    found = [stamps.instant(f"2026-10-25T{text}") for text in texts]
    assert found == [utc(f"2026-10-24T{text}") for text in ["23:30"]] + [
        utc(f"2026-10-25T{text}") for text in ["00:00", "00:30", "01:00", "01:30", "02:00"]
    ]
    assert stamps.ambiguous == 4


def test_each_series_of_a_long_file_has_its_own_repeated_hour() -> None:
    """Detectors interleaved in one file do not push each other into the second pass."""
    stamps = Stamps(Time("Europe/Tirane", column="t"))
    first = [stamps.instant("2026-10-25T02:00", series) for series in ("a", "b")]
    second = [stamps.instant("2026-10-25T02:00", series) for series in ("a", "b")]
    assert first == [utc("2026-10-25T00:00")] * 2
    assert second == [utc("2026-10-25T01:00")] * 2


def test_the_next_autumn_begins_with_the_first_pass() -> None:
    """What was decided for one clock change says nothing of the next."""
    stamps = Stamps(Time("Europe/Tirane", column="t"))
    for stamp in ("2025-10-26T02:30", "2025-10-26T02:30"):
        stamps.instant(stamp)
    assert stamps.instant("2026-10-25T02:10") == utc("2026-10-25T00:10")


@pytest.mark.parametrize(("fold", "hour"), [("first", "00:30"), ("second", "01:30")])
def test_a_mapping_may_name_the_pass(fold: str, hour: str) -> None:
    """A file that holds only one of the two passes says which."""
    stamps = Stamps(Time("Europe/Tirane", column="t", fold=fold))  # type: ignore[arg-type]
    assert stamps.instant("2026-10-25T02:30") == utc(f"2026-10-25T{hour}")


def test_the_skipped_hour_is_an_error_unless_the_mapping_says_more() -> None:
    """02:30 of 29 March 2026 does not exist in Tirana; "before" reads it as a clock that was not set yet."""
    with pytest.raises(SkippedHourError, match="does not exist"):
        Stamps(Time("Europe/Tirane", column="t")).instant("2026-03-29T02:30")
    late = Stamps(Time("Europe/Tirane", column="t", skipped="before"))
    assert late.instant("2026-03-29T02:30") == utc("2026-03-29T01:30")


def test_a_skipped_hour_names_the_line(tmp_path: Path) -> None:
    """The person reads which line of which file holds the impossible stamp."""
    mapping = small(tmp_path, "time,T\n2026-03-29T01:00,1\n2026-03-29T02:00,2\n")
    with pytest.raises(InputError, match=r"small\.csv, line 3.*does not exist in Europe/Tirane"):
        list(expected(mapping, tmp_path))


def test_a_skipped_hour_can_count_as_missing(tmp_path: Path) -> None:
    """With skipped = "missing" the row is left out and counted, the others stand."""
    mapping = small(tmp_path, "time,T\n2026-03-29T01:00,1\n2026-03-29T02:00,2\n", time={"skipped": "missing"})
    tally = Read()
    assert [reading.value for reading in readings(mapping, tmp_path, tally)] == [1.0]
    assert tally.missing == {"skipped hour": 1}


def test_a_fixed_offset_has_no_clock_change() -> None:
    """Stamps in standard time all year are read with one offset; no hour is missing, none repeats."""
    stamps = Stamps(Time("+01:00", column="t"))
    assert stamps.instant("2026-03-29T02:30") == utc("2026-03-29T01:30")
    assert stamps.instant("2026-10-25T02:30") == utc("2026-10-25T01:30")
    assert Stamps(Time("-03:30", column="t")).instant("2026-01-01T00:00") == utc("2026-01-01T03:30")
    assert stamps.ambiguous == 0


def test_an_offset_in_the_stamp_is_used_and_must_be_declared() -> None:
    """Stamps with and without offset are never mixed up in silence."""
    own = Stamps(Time("stamp", column="t"))
    assert own.instant("2022-03-27T03:00:00+02:00") - own.instant("2022-03-27T01:00:00+01:00") == 3_600_000
    with pytest.raises(ValueError, match="carries no offset"):
        own.instant("2022-03-27T03:00:00")
    with pytest.raises(ValueError, match="carries an offset"):
        Stamps(Time("Europe/Tirane", column="t")).instant("2022-03-27T03:00:00+02:00")


def test_a_date_stands_for_its_time_of_day() -> None:
    """A date-only stamp is the local time `at` of that day, on either side of the clock change."""
    stamps = Stamps(Time("America/Los_Angeles", column="t", formats=("%Y/%m/%d",), at="00:00"))
    assert stamps.instant("2012/01/01") == utc("2012-01-01T08:00")
    assert stamps.instant("2012/07/01") == utc("2012-07-01T07:00")


def test_rows_by_step_are_elapsed_time() -> None:
    """Row k lies k steps after the start, also across a clock change: a sampler does not skip an hour."""
    stamps = Stamps(Time("Europe/Tirane", start="2026-03-29T01:00", step_s=3600))
    assert [stamps.by_row(row) for row in range(3)] == [utc(f"2026-03-29T0{hour}:00") for hour in range(3)]


@pytest.mark.parametrize(
    "rule",
    [
        Time("Europe/Tirana", column="t"),
        Time("+1:00", column="t"),
        Time("Europe/Tirane"),
        Time("Europe/Tirane", column="t", start="2026-01-01"),
        Time("Europe/Tirane", start="2026-01-01"),
        Time("stamp", start="2026-01-01", step_s=1),
        Time("Europe/Tirane", start="2026-03-29T02:30", step_s=1),
        Time("Europe/Tirane", column="t", at="25:00"),
        Time("Europe/Tirane", column="t", formats=()),
    ],
)
def test_a_rule_that_cannot_be_is_refused(rule: Time) -> None:
    """A mapping with a wrong zone or a contradiction fails before any row is read."""
    with pytest.raises(ValueError, match=r".+"):
        check_time(rule)


def test_a_stamp_of_another_form_is_refused_with_the_forms() -> None:
    """The error shows the stamp and the forms that were expected."""
    stamps = Stamps(Time("Europe/Tirane", column="t", formats=("%d/%m/%Y %H:%M", "%d/%m/%Y")))
    assert stamps.instant("15/01/2026") == utc("2026-01-14T23:00")
    with pytest.raises(ValueError, match=r"'2026-01-15'.*%d/%m/%Y"):
        stamps.instant("2026-01-15")
