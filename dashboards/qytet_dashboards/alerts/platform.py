"""Alerts about the platform itself: does what arrives reach the database, in time, and is there room for it."""

from qytet_dashboards.alerts.rule import Rule
from qytet_dashboards.alerts.supply import OVERDUE

__all__ = ["RULES"]

_STOPPED = """
select case when s.overdue > 1 then s.age_s / 60 else 0 end as value
from ({overdue}) s, qytet.platform_now p where p.tier is not null
""".replace("{overdue}", OVERDUE)
_LAG = """
select coalesce(max(w.lag_ms) / 1000, 0) as value
from (select worker, avg(lag_ms_mean) as lag_ms from qytet.ingest_minute
      where minute > now() - interval '10 minutes' group by worker) w
"""
# Letters of this hour and the last one, if they are more than twenty and three times the usual of the week before.
_DEAD_LETTERS = """
with letter as (
    select city, sum(letters) filter (where hour >= date_trunc('hour', now()) - interval '1 hour') as recent,
           sum(letters) filter (where hour < now() - interval '24 hours') / 72.0 as usual
    from qytet.dead_letter_hour where hour > now() - interval '7 days' group by city
)
select coalesce(nullif(c.city, ''), 'unknown') as city,
       case when l.recent > greatest(20, 3 * coalesce(l.usual, 0)) then l.recent else 0 end::double precision as value
from (select city::text from qytet.city union all select '') c left join letter l on l.city = c.city
"""
_DISK = """
select coalesce(100 * max(disk_used), 0) as value from qytet.ingest_minute where minute > now() - interval '10 minutes'
"""
# Ingest keeps the rollups: while nothing is stored they stand still for the same reason.
_ROLLUPS = """
select case when coalesce(s.overdue, 0) <= 1 then coalesce(p.rollup_lag_s / 60, 0) else 0 end as value
from qytet.platform_now p, ({overdue}) s
""".replace("{overdue}", OVERDUE)
# What the ledger lacks today beyond what it lacked yesterday, and what devices say that they gave up.
_MISSING = """
with suspect as (
    select city, device, sum(greatest(dropped, 0)) as dropped from qytet.delivery_hour
    where hour > now() - interval '24 hours' and (missing > 0 or dropped > 0) group by city, device
), lost as (
    select s.city, sum(s.dropped + greatest(0, n.missing - coalesce(b.missing, 0))) as records
    from suspect s
    cross join lateral (select h.missing from qytet.delivery_hour h where h.device = s.device
                        order by h.hour desc limit 1) n
    left join lateral (select h.missing from qytet.delivery_hour h where h.device = s.device
                       and h.hour <= now() - interval '24 hours' order by h.hour desc limit 1) b on true
    group by s.city
)
select c.city::text as city, coalesce(l.records, 0)::double precision as value
from qytet.city c left join lost l on l.city = c.city
"""

RULES = (
    # The database that does not answer stores nothing either: of all rules only this one fires then, and the others
    # keep what they last knew. Its query gives a row as long as the views are what they should be.
    Rule(
        name="ingest_stopped",
        domain="platform",
        priority="high",
        sql=_STOPPED,
        lasting="2m",
        panel=("platform", "now"),
        labels={"city": "all", "outage": "ingest"},
        no_data="Alerting",
        error="Alerting",
    ),
    # The targets of design are milliseconds; half a minute means that the database no longer keeps up.
    Rule(
        name="ingest_lag",
        domain="platform",
        priority="medium",
        sql=_LAG,
        lasting="5m",
        panel=("platform", "lag"),
        above=30,
        labels={"city": "all", "outage": "ingest lag"},
        no_data="NoData",
    ),
    Rule(
        name="dead_letters",
        domain="platform",
        priority="medium",
        sql=_DEAD_LETTERS,
        lasting="10m",
        panel=("delivery", "dead_letters"),
        labels={"outage": "dead letters"},
        no_data="NoData",
    ),
    # PostgreSQL stops when its disk is full; at 85 % there are still days on any disk worth the name.
    Rule(
        name="disk_full",
        domain="platform",
        priority="high",
        sql=_DISK,
        lasting="10m",
        panel=("platform", "disk"),
        above=85,
        labels={"city": "all", "outage": "disk"},
        no_data="NoData",
    ),
    # They follow in full hours, ten minutes after: ten to seventy minutes behind is as it should be.
    Rule(
        name="rollups_behind",
        domain="platform",
        priority="low",
        sql=_ROLLUPS,
        lasting="15m",
        panel=("platform", "now"),
        above=120,
        labels={"city": "all", "outage": "rollups"},
        no_data="NoData",
    ),
    # A gap closes by itself while a device sends its backlog: two hours of grace.
    Rule(
        name="readings_missing",
        domain="platform",
        priority="medium",
        sql=_MISSING,
        lasting="2h",
        panel=("delivery", "missing"),
        labels={"outage": "missing"},
    ),
)
