"""The platform itself: does what arrives reach the database, how fast, and how near are the limits."""

from collections.abc import Iterator, Sequence

from grafana_foundation_sdk.builders import common, stat, timeseries
from grafana_foundation_sdk.models import common as models

from qytet_dashboards.cities import City
from qytet_dashboards.vocabulary import Board, Panels, Words
from qytet_dashboards.vocabulary.board import Placed
from qytet_dashboards.vocabulary.colours import BAD, NEUTRAL, OK, WARN, steps
from qytet_dashboards.vocabulary.fields import Field, with_fields

__all__ = ["build"]

# Minutes are gathered to at most 600 points: one a minute up to ten hours. The running minute is not over, and would
# look like a fall.
_PARTS = {
    "width": "make_interval(mins => greatest(1, ceil(extract(epoch from :till - :since) / 36000)::integer))",
    "minutes": "from qytet.ingest_minute where minute >= :since and minute < least(:till, date_trunc('minute', now()))",
}
_NOW = """
select p.last_commit_age_s, m.rate, p.workers_active, m.window_used, p.open_dead_letters, p.undated, p.rollup_lag_s,
m.disk
from qytet.platform_now p, (
select coalesce(sum(readings) / 300.0, 0)::double precision as rate, coalesce(max(disk_used), 0) as disk,
coalesce(max(window_used_max::double precision / nullif(window_size, 0)), 0) as window_used
from qytet.ingest_minute where minute >= date_trunc('minute', now()) - interval '5 minutes'
and minute < date_trunc('minute', now())
) m
"""
# A minute in which a worker wrote nothing is a minute without readings, from its first one on.
_READINGS = """
with stored as materialized (
select date_bin({width}, minute, timestamptz '2000-01-01T00:00Z') as bucket, worker, sum(readings) as readings,
count(*) as minutes {minutes} group by 1, 2
)
select t."time", w.worker as metric, coalesce(s.readings / s.minutes / 60.0, 0)::double precision as value
from (select worker, min(bucket) as began, (select max(bucket) from stored) as ended from stored group by worker) w
cross join lateral generate_series(w.began, w.ended, {width}) t ("time")
left join stored s on s.worker = w.worker and s.bucket = t."time"
order by 1, 2
"""
_DELAY = """
select date_bin({width}, minute, timestamptz '2000-01-01T00:00Z') as "time",
sum({column}_mean * batches) / nullif(sum(batches), 0)::double precision as mean, max({column}_max) as highest
{minutes} group by 1 order by 1
"""
_BY_WORKER = """
select date_bin({width}, minute, timestamptz '2000-01-01T00:00Z') as "time", worker as metric, {value} as value
{minutes} group by 1, 2 order by 1, 2
"""
_WINDOW = "max(window_used_max::double precision / nullif(window_size, 0))"
_BATCH = "(sum(readings) / nullif(sum(batches), 0))::double precision"
_DATABASE = """
select database_bytes, connections, cache_hit, devices, datastreams from qytet.platform_now
"""
_TIER = "select tier from qytet.platform_now"


def build(language: str, cities: Sequence[City]) -> Iterator[Board]:  # noqa: ARG001
    """One board for all cities."""
    words = Words(language, "board_platform")
    panels = Panels(words)
    yield Board(
        "platform",
        words,
        variables=[],
        panels=[
            (_now(panels), 24, 4),
            (panels.lines("readings", _whole(_READINGS), "short").min(0), 12, 8),
            (_delay(panels, "lag"), 12, 8),
            (_delay(panels, "commit"), 8, 8),
            (_filled(panels, "window", _WINDOW, 0.5, 0.9), 8, 8),
            (panels.bars("dead_letters", _by_worker("sum(dead_letters)::bigint")), 8, 8),
        ],
        rows=[(words("row_ingest"), _ingest(panels)), (words("row_database"), _database(panels))],
        since="now-6h",
        events=False,
    )


def _now(panels: Panels) -> stat.Panel:
    return with_fields(
        panels.number("now", _NOW, thresholds=steps(NEUTRAL)),
        panels.words,
        Field(
            "last_commit_age_s",
            title="last_commit",
            unit="s",
            decimals=0,
            thresholds=steps(OK, (60, WARN), (300, BAD)),
            empty="–",
        ),
        Field("rate", title="rate", unit="short", decimals=0, thresholds=steps(NEUTRAL)),
        Field("workers_active", title="workers", thresholds=steps(BAD, (1, OK))),
        Field(
            "window_used",
            title="window",
            unit="percentunit",
            decimals=0,
            thresholds=steps(OK, (0.5, WARN), (0.9, BAD)),
        ),
        Field("open_dead_letters", title="open_letters", thresholds=steps(OK, (1, WARN))),
        Field("undated", title="undated", thresholds=steps(OK, (1000, WARN))),
        Field(
            "rollup_lag_s",
            title="rollup_lag",
            unit="s",
            decimals=0,
            thresholds=steps(OK, (5400, WARN), (7200, BAD)),
            empty="–",
        ),
        Field(
            "disk",
            title="disk_used",
            unit="percentunit",
            decimals=0,
            thresholds=steps(OK, (0.7, WARN), (0.85, BAD)),
        ),
    )


def _whole(sql: str, **parts: str) -> str:
    """The query with its parts in their places."""
    for name, part in (_PARTS | parts).items():
        sql = sql.replace(f"{{{name}}}", part)
    return sql


def _by_worker(value: str) -> str:
    return _whole(_BY_WORKER, value=value)


def _delay(panels: Panels, name: str) -> timeseries.Panel:
    """Mean and highest of what each minute took, over all workers."""
    return with_fields(
        panels.lines(name, _whole(_DELAY, column=f"{name}_ms"), "ms").min(0),
        panels.words,
        Field("mean", title="mean"),
        Field("highest", title="highest"),
    )


def _filled(panels: Panels, name: str, value: str, warn: float, bad: float) -> timeseries.Panel:
    """How full something is, 0 to 1, with its limits dashed."""
    return (
        panels.lines(name, _by_worker(value), "percentunit")
        .min(0)
        .max(1)
        .thresholds(steps("transparent", (warn, WARN), (bad, BAD)))
        .thresholds_style(common.GraphThresholdsStyleConfig().mode(models.GraphThresholdsStyleMode.DASHED))
    )


def _ingest(panels: Panels) -> list[Placed]:
    return [
        (panels.lines("batch", _by_worker(_BATCH), "short").min(0), 8, 8),
        (panels.bars("duplicates", _by_worker("sum(duplicates)::bigint")), 8, 8),
        (panels.bars("reconnects", _by_worker("sum(reconnects)::bigint")), 8, 8),
        (panels.lines("memory", _by_worker("max(memory_mb)"), "decmbytes").min(0), 12, 8),
        (_filled(panels, "disk", "max(disk_used)", 0.7, 0.85), 12, 8),
    ]


def _database(panels: Panels) -> list[Placed]:
    tier = panels.number("tier", _TIER).reduce_options(
        common.ReduceDataOptions().calcs(["lastNotNull"]).values(False).fields("/^tier$/")
    )
    figures = with_fields(
        panels.number("database", _DATABASE, thresholds=steps(NEUTRAL)),
        panels.words,
        Field("database_bytes", title="size", unit="bytes"),
        Field("connections", title="connections"),
        Field("cache_hit", title="cache_hit", unit="percentunit", decimals=1, empty="–"),
        Field("devices", title="devices"),
        Field("datastreams", title="datastreams"),
    )
    return [(figures, 20, 5), (tier, 4, 5)]
