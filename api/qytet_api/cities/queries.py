"""The SQL of cities."""

from typing import Final, LiteralString

# Not heard for three of the longest reporting interval (15 min, lamps) is silent, whatever the state says.
CITIES: Final[LiteralString] = """
select c.city, c.name, c.time_zone, c.lat, c.lon,
       count(d.device_id) as devices,
       count(*) filter (where d.heard and d.state = 'ready') as ready,
       count(*) filter (where d.heard and d.state = 'sleeping') as sleeping,
       count(d.device_id) filter (where not d.heard or d.state not in ('ready', 'sleeping')) as silent,
       max(d.seen_at) as seen_at
from qytet.city c
left join (
    select city, device_id, state, seen_at,
           coalesce(seen_at > now() - interval '45 minutes', false) as heard
    from qytet.device
) d using (city)
where %(city)s::text is null or c.city = %(city)s
group by c.city, c.name, c.time_zone, c.lat, c.lon
order by c.city
"""
