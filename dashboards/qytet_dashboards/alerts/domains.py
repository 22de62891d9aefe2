"""Alerts about the city: its air, lamps, water and lanes. States and limits come from the database's views.

Each query has a row a city at least, of value 0 while all is well; what has not been heard of lately is no fault here,
as its silence has an alert of its own.
"""

from qytet_dashboards.alerts.rule import Rule

__all__ = ["RULES"]

_AIR = """
select c.city::text as city, coalesce(a.site_name, '-')::text as site, coalesce(a.device, '-')::text as device,
       coalesce(case when not a.provisional and a.age_s < 10800 then a.index end, 0)::double precision as value
from qytet.city c
left join qytet.air_index_now(:cities, :sites, :devices) a on a.city = c.city
"""
# Three dark lamps of a site, or both of two; one is a job for the day.
_DARK = """
select c.city::text as city, coalesce(l.site_name, '-')::text as site, 'lamps ' || coalesce(l.site, '-') as outage,
       coalesce(case when l.dark >= least(3, greatest(2, l.lamps)) then l.dark end, 0)::double precision as value
from qytet.city c
left join (select city, site, site_name, count(*) as lamps, count(*) filter (where state = 4) as dark
           from qytet.lamp_now(:cities, :sites, :devices, :channels) group by 1, 2, 3) l on l.city = c.city
"""
_BURNING = """
select c.city::text as city, coalesce(l.site_name, '-')::text as site,
       'lamps by day ' || coalesce(l.site, '-') as outage, coalesce(l.burning, 0)::double precision as value
from qytet.city c
left join (select city, site, site_name, count(*) filter (where state = 5) as burning
           from qytet.lamp_now(:cities, :sites, :devices, :channels) group by 1, 2, 3) l on l.city = c.city
"""
# Per cent above the usual of the nights before. Half a cubic metre an hour is what a few open taps make.
_NIGHT_FLOW = """
select c.city::text as city, coalesce(n.label, '-')::text as meter, 'night flow ' || coalesce(n.label, '-') as outage,
       coalesce(case when n.applicable and n.night_flow >= n.baseline + 0.5 then 100 * (n.ratio - 1) end, 0) as value
from qytet.city c
left join (select distinct on (city, label) *
           from qytet.night_flow(:cities, :sites, :devices, now() - interval '2 days', now())
           where night_flow is not null order by city, label, "time" desc) n on n.city = c.city
"""
_CHLORINE = """
select c.city::text as city, coalesce(w.device || coalesce(' ' || nullif(w.channel, ''), ''), '-') as probe,
       'chlorine ' || coalesce(w.device, '-') as outage,
       coalesce(case when not w.ok and w.value < w.low then w.low - w.value end, 0)::double precision as value
from qytet.city c
left join qytet.water_quality_now(:cities, :sites, :devices) w on w.city = c.city and w.property = 'water_free_chlorine'
"""
# A tank has no limit of its own in the registry: what it did in the four weeks until the day before yesterday is usual,
# and a tenth of that span (at least 5 cm) beyond it is not. In centimetres.
_TANK = """
with usual as (
    select city, label, min(min) as low, max(max) as high, greatest(0.05, 0.1 * (max(max) - min(min))) as margin
    from qytet.property_series(:cities, :sites, :devices, :channels, 'water_tank_level', now() - interval '28 days',
                               now() - interval '2 days', 'day')
    where n > 0 group by city, label having count(*) >= 2
)
select c.city::text as city, coalesce(t.label, '-')::text as tank, 'tank ' || coalesce(t.label, '-') as outage,
       coalesce(case when t.age_s < 7200 and t.quality <= 2
                then 100 * greatest(u.low - u.margin - t.value, t.value - u.high - u.margin, 0) end, 0) as value
from qytet.city c
left join qytet.now(:cities, :sites, :devices, :channels, 'water_tank_level') t on t.city = c.city
left join usual u on u.city = t.city and u.label = t.label
"""
_STUCK = """
select c.city::text as city, coalesce(l.label, '-')::text as lane, 'lanes ' || coalesce(l.device, '-') as outage,
       coalesce(case when l.age_s < 3600 then l.stuck end, 0)::double precision as value
from qytet.city c
left join qytet.lane_now(:cities, :sites, :devices, :channels) l on l.city = c.city
"""

RULES = (
    # Very poor and worse by the bands of the European Environment Agency (2024). A whole city's smog is one outage.
    Rule(
        name="air_very_poor",
        domain="air",
        priority="medium",
        sql=_AIR,
        lasting="5m",
        panel=("air", "index_now"),
        above=4,
        labels={"outage": "air"},
    ),
    # Lamps report each quarter: two reports.
    Rule(
        name="lamps_dark",
        domain="lighting",
        priority="medium",
        sql=_DARK,
        lasting="20m",
        panel=("lighting", "faults"),
    ),
    # The view has waited half an hour; another, for whoever tests lamps by day.
    Rule(
        name="lamps_by_day",
        domain="lighting",
        priority="low",
        sql=_BURNING,
        lasting="30m",
        panel=("lighting", "faults"),
    ),
    # One night decides, so nothing is won by waiting longer than a repeated question takes.
    Rule(
        name="night_flow_high",
        domain="water",
        priority="medium",
        sql=_NIGHT_FLOW,
        lasting="10m",
        panel=("water", "nights"),
        above=50,
    ),
    # Two or three readings of a probe that reports each five minutes or so (ISA-18.2: consecutive reports).
    Rule(
        name="chlorine_low",
        domain="water",
        priority="high",
        sql=_CHLORINE,
        lasting="15m",
        panel=("water", "quality"),
        places=2,
    ),
    Rule(
        name="tank_level",
        domain="water",
        priority="medium",
        sql=_TANK,
        lasting="15m",
        panel=("water", "property.water_tank_level"),
    ),
    Rule(
        name="lane_stuck",
        domain="traffic",
        priority="low",
        sql=_STUCK,
        lasting="15m",
        panel=("traffic", "lanes_now"),
    ),
)
