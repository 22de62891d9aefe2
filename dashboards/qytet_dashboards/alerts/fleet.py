"""Alerts about devices that fell silent: one an outage, whatever hangs on what failed."""

from qytet_dashboards.alerts.rule import Rule
from qytet_dashboards.alerts.supply import OVERDUE

__all__ = ["RULES"]

# A row a city always, of value 0 while nothing of this kind is silent; a row an outage, in minutes. While nothing is
# stored at all, no device is to blame: that is an outage of the platform and has an alert of its own.
_OUTAGE = """
with supply as ({overdue})
select c.city::text as city, coalesce(o.cause || ' ' || o.subject, '-') as outage,
       coalesce(o.subject, '-')::text as {cause}, coalesce(o.lasting_s / 60, 0)::double precision as value
from qytet.city c
left join qytet.outage o on o.city = c.city and o.cause = '{cause}'
     and not coalesce((select overdue > 1 from supply), false)
""".replace("{overdue}", OVERDUE)
# A whole city needs no subject: its name is the label.
_CITY = _OUTAGE.replace("coalesce(o.subject, '-')::text as {cause}, ", "").replace("{cause}", "city")

RULES = (
    # Seconds matter less here than quiet: a node that restarts, or is being mended, is back within the quarter.
    Rule(
        name="device_silent",
        domain="fleet",
        priority="low",
        sql=_OUTAGE.replace("{cause}", "device"),
        lasting="15m",
        panel=("fleet", "outages"),
    ),
    Rule(
        name="gateway_silent",
        domain="fleet",
        priority="medium",
        sql=_OUTAGE.replace("{cause}", "gateway"),
        lasting="10m",
        panel=("fleet", "outages"),
    ),
    Rule(
        name="city_silent",
        domain="fleet",
        priority="high",
        sql=_CITY,
        lasting="5m",
        panel=("fleet", "outages"),
    ),
)
