"""Delivery and quality: what came, came late, twice or not at all, what was refused or flagged, and what to do."""

from collections.abc import Iterator, Sequence

from grafana_foundation_sdk.builders import stat, table, timeseries

from qytet_dashboards.cities import City
from qytet_dashboards.vocabulary import Board, Panels, Words, variables
from qytet_dashboards.vocabulary.colours import BAD, NEUTRAL, OK, POOR, WARN, steps
from qytet_dashboards.vocabulary.fields import Field, link_to, with_fields

__all__ = ["build"]

_TIME = "time:DD.MM. HH:mm"

# Nothing here is finer than an hour.
_PARTS = {
    "bucket": "case qytet.resolution(:resolution, :since, :till) "
    "when 'day' then date_trunc('day', hour, 'Europe/Tirane') else hour end",
    "chosen": "from qytet.delivery_hour where hour >= date_trunc('hour', :since) and hour < :till "
    "and qytet.chosen(city, :cities) and qytet.chosen(site, :sites) and qytet.chosen(device, :devices)",
    # A device's newest hour says how much of it is missing now; by the index, as sorting a month's hours takes seconds.
    "newest": "cross join lateral (select h.missing from qytet.delivery_hour h where h.device = d.device "
    "and h.hour >= date_trunc('hour', :since) and h.hour < :till order by h.hour desc limit 1) n",
    "letters": "from qytet.dead_letter_hour where hour >= date_trunc('hour', :since) and hour < :till "
    "and qytet.chosen(city, :cities) and qytet.chosen(device, :devices)",
}
_TOTALS = """
select coalesce(sum(d.received), 0)::bigint as received, coalesce(sum(d.late), 0)::bigint as late,
coalesce(sum(d.duplicate), 0)::bigint as duplicate, coalesce(sum(d.rejected), 0)::bigint as rejected,
coalesce(sum(d.dropped), 0)::bigint as dropped, coalesce(sum(n.missing), 0)::bigint as missing,
coalesce(sum(d.flagged) / nullif(sum(d.readings), 0), 0)::double precision as flagged
from (
select device, sum(received) as received, sum(late) as late, sum(duplicate) as duplicate, sum(rejected) as rejected,
sum(dropped) as dropped, sum(suspect + failed) as flagged, sum(readings) as readings
{chosen} group by device
) d {newest}
"""
_DELIVERED = """
select {bucket} as "time", (sum(received) - sum(late))::bigint as on_time, sum(late)::bigint as late,
sum(rejected)::bigint as rejected, sum(duplicate)::bigint as duplicate
{chosen} group by 1 order by 1
"""
# Where nothing is missing a line of zero says so.
_MISSING = """
with most as materialized (
select device {chosen} and missing > 0 group by device order by max(missing) desc, device limit 12
)
select {bucket} as "time", device as metric, max(missing) as value
{chosen} and device = any(array(select device from most)) group by 1, 2
union all
select t, '–', 0 from (values (:since), (:till)) z (t) where not exists (select from most)
order by 1, 2
"""
_FLAGS = """
select {bucket} as "time", (sum(suspect) / greatest(sum(readings), 1))::double precision as suspect,
(sum(failed) / greatest(sum(readings), 1))::double precision as failed
{chosen} group by 1 order by 1
"""
_WORST = """
select d.device, d.received, d.late, d.duplicate, d.rejected, d.dropped, n.missing, d.flagged,
case when n.missing + d.dropped > 0 then 'missing' when d.rejected > 0 then 'rejected'
when d.flagged > 0.05 then 'flagged' when d.late > 0.5 * d.received then 'late'
when d.duplicate > d.received then 'duplicate' else 'none' end as advice
from (
select device, sum(received)::bigint as received, sum(late)::bigint as late, sum(duplicate)::bigint as duplicate,
sum(rejected)::bigint as rejected, sum(dropped)::bigint as dropped,
(sum(suspect + failed) / greatest(sum(readings), 1))::double precision as flagged
{chosen} group by device
) d {newest}
order by n.missing + d.dropped desc, d.rejected desc, d.flagged > 0.05 desc,
d.late::double precision / greatest(d.received, 1) desc, d.device limit 200
"""
_HOURS = """
select hour, device, received, late, duplicate, rejected, dropped, missing, readings, suspect, failed
{chosen} order by hour desc, device limit 200
"""
# Without a letter a line of zero says so.
_LETTERS = """
select {bucket} as "time", reason as metric, sum(letters)::bigint as value {letters} group by 1, 2
union all
select :since, '–', 0 where not exists (select {letters})
order by 1, 2
"""
# What is to be done is said for the reasons that have a remedy of their own (docs/how-to/read-dead-letters.md).
_LETTERS_NOW = """
select reason, device, city, sum(letters)::bigint as letters, sum(still_open)::bigint as still_open,
max(hour) as newest,
case when reason in ('unknown_device', 'unknown_datastream', 'unknown_property', 'not_valid_then', 'wrong_city',
'not_via', 'collision', 'time_too_late', 'time_too_early', 'store_failed') then reason else 'contract' end as advice
{letters} group by reason, device, city order by still_open desc, letters desc, reason, device limit 200
"""
_LEDGER = """
select device, city, boot, state, first_seq, last_seq, records, last_seen from qytet.delivery_gap
where qytet.chosen(city, :cities) and qytet.chosen(device, :devices)
and device in (select device from qytet.device where qytet.chosen(site, :sites))
order by last_seen desc, device, boot, first_seq limit 200
"""
_REASONS = (
    "unknown_device",
    "unknown_datastream",
    "unknown_property",
    "not_valid_then",
    "wrong_city",
    "not_via",
    "collision",
    "time_too_late",
    "time_too_early",
    "store_failed",
    "contract",
)
_ADVICE = ("missing", "rejected", "flagged", "late", "duplicate", "none")


def build(language: str, cities: Sequence[City]) -> Iterator[Board]:  # noqa: ARG001
    """One board for all cities."""
    words = Words(language, "board_delivery")
    panels = Panels(words)
    yield Board(
        "delivery",
        words,
        variables=[
            variables.city(words),
            variables.site(words),
            variables.device(words),
            variables.resolution(words),
        ],
        panels=[
            (_totals(panels), 24, 4),
            (_delivered(panels), 12, 8),
            (panels.lines("missing", _whole(_MISSING)).min(0), 12, 8),
            (_worst(panels), 18, 8),
            (_flags(panels), 6, 8),
        ],
        rows=[
            (
                words("row_letters"),
                [(panels.bars("dead_letters", _whole(_LETTERS)), 8, 9), (_letters(panels), 16, 9)],
            ),
            (words("row_gaps"), [(_ledger(panels), 24, 9)]),
            (words("row_hours"), [(_hours(panels), 24, 10)]),
        ],
        since="now-3d",
    )


def _whole(sql: str) -> str:
    """The query with its parts in their places."""
    for name, part in _PARTS.items():
        sql = sql.replace(f"{{{name}}}", part)
    return sql


def _totals(panels: Panels) -> stat.Panel:
    return with_fields(
        panels.number("totals", _whole(_TOTALS), "locale", steps(NEUTRAL)),
        panels.words,
        Field("received", title="received", thresholds=steps(NEUTRAL)),
        Field("late", title="late", thresholds=steps(NEUTRAL)),
        Field("duplicate", title="duplicate", thresholds=steps(NEUTRAL)),
        Field("rejected", title="rejected", thresholds=steps(OK, (1, WARN))),
        Field("dropped", title="dropped", thresholds=steps(OK, (1, BAD))),
        Field("missing", title="missing_now", thresholds=steps(OK, (1, BAD))),
        Field(
            "flagged",
            title="flagged",
            unit="percentunit",
            decimals=1,
            thresholds=steps(OK, (0.05, WARN), (0.2, BAD)),
        ),
    )


def _delivered(panels: Panels) -> timeseries.Panel:
    return with_fields(
        panels.bars("delivered", _whole(_DELIVERED)),
        panels.words,
        Field("on_time", title="on_time"),
        Field("late", title="late"),
        Field("rejected", title="rejected"),
        Field("duplicate", title="duplicate"),
    )


def _flags(panels: Panels) -> timeseries.Panel:
    return with_fields(
        panels.lines("flags", _whole(_FLAGS), "percentunit").min(0),
        panels.words,
        Field("suspect", title="suspect"),
        Field("failed", title="failed"),
    )


def _device(words: Words) -> Field:
    """Which device: a click shows it on the dashboard of the fleet."""
    return Field(
        "device",
        title="boards.device",
        link=link_to("fleet", words.language, ("device",)),
        width=120,
        empty="–",
    )


def _worst(panels: Panels) -> table.Panel:
    words = panels.words
    return with_fields(
        panels.table("worst", _whole(_WORST), {}).no_value(words("nothing_yet")),
        words,
        _device(words),
        Field("received", title="received", width=75),
        Field("late", title="late", width=65),
        Field("duplicate", title="duplicate", width=75),
        Field("rejected", title="rejected", thresholds=steps("transparent", (1, WARN)), width=75),
        Field("dropped", title="dropped", thresholds=steps("transparent", (1, BAD)), width=75),
        Field("missing", title="missing_now", thresholds=steps("transparent", (1, BAD)), width=75),
        Field(
            "flagged",
            title="flagged",
            unit="percentunit",
            decimals=1,
            thresholds=steps("transparent", (0.05, WARN), (0.2, POOR)),
            width=75,
        ),
        Field("advice", title="advice", names={name: f"board_delivery.advice_{name}" for name in _ADVICE}),
    )


def _letters(panels: Panels) -> table.Panel:
    words = panels.words
    return with_fields(
        panels.table("letters", _whole(_LETTERS_NOW), {}).no_value(words("no_letters")),
        words,
        Field("reason", title="boards.reason", width=140),
        _device(words),
        Field("city", title="boards.city", width=65, empty="–"),
        Field("letters", title="boards.count", width=60),
        Field("still_open", title="still_open", thresholds=steps("transparent", (1, WARN)), width=65),
        Field("newest", title="newest", unit=_TIME, width=100),
        Field("advice", title="advice", names={name: f"board_delivery.reason_{name}" for name in _REASONS}),
    )


def _ledger(panels: Panels) -> table.Panel:
    words = panels.words
    return with_fields(
        panels.table("gaps", _LEDGER, {}).no_value(words("no_gaps")),
        words,
        _device(words),
        Field("city", title="boards.city"),
        Field("boot", title="boot"),
        Field(
            "state",
            title="boards.state",
            names={name: f"board_delivery.gap_{name}" for name in ("missing", "dropped")},
        ),
        Field("first_seq", title="first_seq"),
        Field("last_seq", title="last_seq"),
        Field("records", title="records"),
        Field("last_seen", title="last_seen", unit=_TIME),
    )


def _hours(panels: Panels) -> table.Panel:
    words = panels.words
    counts = ("received", "late", "duplicate", "rejected", "dropped", "readings", "suspect", "failed")
    return with_fields(
        panels.table("hours", _whole(_HOURS), {}).no_value(words("nothing_yet")),
        words,
        Field("hour", title="boards.time", unit=_TIME, width=120),
        _device(words),
        *(Field(name, title=name) for name in counts),
        Field("missing", title="missing_now"),
    )
