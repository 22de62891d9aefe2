"""Variables, macros and intervals become what Grafana's own sources and tests say they become."""

from datetime import UTC, datetime

import pytest

from tests.dashboards.grafana import interval, macros
from tests.dashboards.grafana.expand import Context, expand
from tests.dashboards.grafana.macros import MacroError, TimeRange
from tests.dashboards.grafana.variables import ALL, UnknownFormatError, Variable, interpolate, references

FIVE_MINUTES = TimeRange(datetime(2018, 4, 12, 18, 0, tzinfo=UTC), datetime(2018, 4, 12, 18, 5, tzinfo=UTC))
CITY = Variable("city", "tirana", multi=True, include_all=True, all_value="'*'", options=("tirana", "durres"))


@pytest.mark.parametrize(
    ("written", "run"),
    [
        ("select $__time(t)", 'select t AS "time"'),
        ("select min($__time(t))", 'select min(t AS "time")'),
        ("$__timeEpoch(t)", 'extract(epoch from t) as "time"'),
        ("$__timeFilter(t)", "t BETWEEN '2018-04-12T18:00:00Z' AND '2018-04-12T18:05:00Z'"),
        ("$__timeFrom()::timestamptz", "'2018-04-12T18:00:00Z'::timestamptz"),
        ("$__timeTo()", "'2018-04-12T18:05:00Z'"),
        ("$__timeGroup(t,'5m'), v", 'floor(extract(epoch from t)/300)*300 AS "time", v'),
        ("$__timeGroup(t,'5m') as time, v", "floor(extract(epoch from t)/300)*300 as time, v"),
        ("$__timeGroup(t , '5m')", "floor(extract(epoch from t)/300)*300"),
        ("$__timeGroupAlias(t,'5m')", 'floor(extract(epoch from t)/300)*300 AS "time"'),
        ("$__timeGroup(t,'12d')", "floor(extract(epoch from t)/1.0368e+06)*1.0368e+06"),
        ("$__unixEpochFilter(t)", "t >= 1523556000 AND t <= 1523556300"),
        ("$__unixEpochFrom()", "1523556000"),
        ("$__unixEpochNanoFilter(t)", "t >= 1523556000000000000 AND t <= 1523556300000000000"),
        ("$__unixEpochNanoTo()", "1523556300000000000"),
        ("$__unixEpochGroup(t+u,'5m')", "floor((t+u)/300)*300"),
        ("$__unixEpochGroupAlias(t,'5m')", 'floor((t)/300)*300 AS "time"'),
        ("$__timeFilter(lower(t))", "lower(t BETWEEN '2018-04-12T18:00:00Z' AND '2018-04-12T18:05:00Z')"),
        ("every $__interval, $__interval_ms", "every 1m, 60000"),
    ],
)
def test_a_macro_becomes_what_the_postgresql_datasource_makes_of_it(written: str, run: str) -> None:
    """Each documented macro expands as Grafana's own tests state, the oddities included."""
    assert macros.expand(written, FIVE_MINUTES).sql == run


@pytest.mark.parametrize(
    ("written", "run"),
    [
        ("group by $__timeGroup(t,'5m')", "group by time_bucket('300.000s',t)"),
        ("group by $__timeGroup(t , '12d')", "group by time_bucket('1036800.000s',t)"),
        ("group by $__timeGroup(t , '20ms')", "group by time_bucket('0.020s',t)"),
    ],
)
def test_a_datasource_set_to_timescale_groups_by_time_bucket(written: str, run: str) -> None:
    """With TimescaleDB switched on in the datasource, groups are its buckets."""
    assert macros.expand(written, FIVE_MINUTES, timescale=True).sql == run


def test_fractions_of_a_second_keep_the_digits_they_have() -> None:
    """An instant is written with as many digits as it has, and in UTC."""
    span = TimeRange(datetime(1960, 2, 1, 7, 0, 0, 500_000, tzinfo=UTC), datetime(1980, 2, 3, 8, tzinfo=UTC))
    assert (
        macros.expand("$__timeFilter(t)", span).sql
        == "t BETWEEN '1960-02-01T07:00:00.5Z' AND '1980-02-03T08:00:00Z'"
    )


@pytest.mark.parametrize("written", ["$__nothing(t)", "$__timeGroup(t)", "$__timeGroup(t,'often')"])
def test_what_grafana_refuses_is_refused(written: str) -> None:
    """An unknown macro and wrong arguments end the query."""
    with pytest.raises(MacroError):
        macros.expand(written, FIVE_MINUTES)


def test_a_third_argument_asks_for_gaps_to_be_filled() -> None:
    """NULL, previous or a number fills gaps; anything else is refused."""
    assert macros.expand("$__timeGroup(t,'5m',NULL)", FIVE_MINUTES).fill == macros.Fill(300, "null")
    assert macros.expand("$__timeGroup(t,'5m',1.5)", FIVE_MINUTES).fill == macros.Fill(300, "value", 1.5)
    with pytest.raises(MacroError, match="fill value"):
        macros.expand("$__timeGroup(t,'5m',nothing)", FIVE_MINUTES)


@pytest.mark.parametrize(
    ("choice", "written", "run"),
    [
        ("tirana", "$city", "'tirana'"),
        ("tirana", "${city}", "'tirana'"),
        ("tirana", "[[city]]", "'tirana'"),
        (["tirana", "durres"], "in ($city)", "in ('tirana','durres')"),
        (["tirana", "durres"], "array[${city:sqlstring}]", "array['tirana','durres']"),
        (["o'brien"], "${city:sqlstring}", "'o''brien'"),
        (["o'brien"], "${city:singlequote}", r"'o\'brien'"),
        (["tirana", "durres"], "${city:csv}", "tirana,durres"),
        (["tirana", "durres"], "${city:raw}", "tirana,durres"),
        (["tirana", "durres"], "${city:pipe}", "tirana|durres"),
        (["tirana", "durres"], "${city:glob}", "{tirana,durres}"),
        (["tirana"], "${city:glob}", "tirana"),
        (["tirana", "durres"], "${city:json}", '["tirana","durres"]'),
        (["tirana", "durres"], "${city:doublequote}", '"tirana","durres"'),
        (ALL, "array[${city:sqlstring}]::text[]", "array['*']::text[]"),
        ([ALL], "array[${city:csv}]", "array['*']"),
        (ALL, "${city:text}", "All"),
        ("tirana", "$cityname $other ${__dashboard}", "$cityname $other ${__dashboard}"),
    ],
)
def test_a_variable_becomes_what_the_browser_makes_of_it(
    choice: list[str] | str, written: str, run: str
) -> None:
    """One value, several and All with its custom value are put in by each format as Grafana does it."""
    assert interpolate(written, [CITY.choose(choice)]) == run


def test_all_without_a_value_of_its_own_is_every_option() -> None:
    """Without a custom value, All is the list of all options, formatted like any list."""
    everything = Variable("city", ALL, multi=True, include_all=True, options=("tirana", "durres"))
    assert interpolate("${city:sqlstring}|$city", [everything]) == "'tirana','durres'|'tirana','durres'"


def test_a_variable_of_one_value_is_put_in_without_quotes() -> None:
    """A variable that is neither multi-value nor has All only has its quotes doubled."""
    assert interpolate("'$resolution'", [Variable("resolution", "15min")]) == "'15min'"
    assert interpolate("${resolution:sqlstring}", [Variable("resolution", "15min")]) == "'15min'"
    assert interpolate("'$name'", [Variable("name", "o'brien")]) == "'o''brien'"


def test_a_format_that_does_not_exist_is_an_error() -> None:
    """Grafana would take another format in silence; the bench says so."""
    with pytest.raises(UnknownFormatError, match="sqlarray"):
        interpolate("${city:sqlarray}", [CITY])


def test_names_of_variables_are_found_however_they_are_written() -> None:
    """All three spellings name a variable."""
    assert references("$a [[b:csv]] ${c:date:iso} ${d.field} 5$") == {"a", "b", "c", "d"}


@pytest.mark.parametrize(
    ("seconds", "points", "least", "text", "milliseconds"),
    [
        (300, 800, "1ms", "500ms", 500),
        (3_600, 800, "1ms", "5s", 5_000),
        (3_600, 800, "1m", "1m", 60_000),
        (21_600, 800, "1m", "1m", 60_000),
        (86_400, 800, "1m", "2m", 120_000),
        (7 * 86_400, 800, "1m", "15m", 900_000),
        (30 * 86_400, 800, "1m", "1h", 3_600_000),
        (365 * 86_400, 500, "1m", "12h", 43_200_000),
        (3_600, 800, "15m", "15m", 900_000),
        (3_600, 800, "90", "1m", 90_000),
    ],
)
def test_the_interval_is_rounded_as_grafana_rounds_it(
    seconds: int, points: int, least: str, text: str, milliseconds: int
) -> None:
    """Range by points, rounded to Grafana's steps and never below the least interval; the text has one unit."""
    assert interval.calculated(seconds * 1000, points, least) == (text, milliseconds)


def test_calendar_intervals_are_counted_from_now() -> None:
    """A month is as long as the one that follows now; Go's durations have their own units."""
    at = datetime(2026, 1, 31, tzinfo=UTC)
    assert interval.parsed("1M", at).days == 31  # 31 February is 3 March
    assert interval.parsed("1y", at).days == 365
    assert interval.parsed("1h30m").total_seconds() == 5_400
    with pytest.raises(ValueError, match="interval"):
        interval.parsed("5 minutes")


def test_comments_go_in_newer_versions_but_not_out_of_strings() -> None:
    """Grafana 12 drops comments before it looks for macros; quoted ones are none."""
    assert macros.without_comments("select 1 -- one\nfrom t") == "select 1 \nfrom t"
    assert macros.without_comments("select /* a\nb */ 1") == "select  1"
    for kept in ("select '-- no' as a", "select $$ -- no $$", 'select "a /* b */"', "select $__timeFrom()"):
        assert macros.without_comments(kept) == kept
    assert macros.without_comments("select 'it''s -- no' -- yes") == "select 'it''s -- no' "


def test_browser_and_server_work_one_after_the_other() -> None:
    """A dashboard's query has its variables put in first and its macros then."""
    context = Context(FIVE_MINUTES, (CITY.choose(ALL), Variable("resolution", "auto")))
    sql = (
        "select * from f(array[${city:sqlstring}]::text[], $__timeFrom()::timestamptz, '$resolution', "
        "'$__interval', ${__from})"
    )
    assert expand(sql, context).sql == (
        "select * from f(array['*']::text[], '2018-04-12T18:00:00Z'::timestamptz, 'auto', '1m', 1523556000000)"
    )
