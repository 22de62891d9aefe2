"""Traffic: count, speed, occupancy and level of service a lane, lanes that are stuck, and the usual day."""

from collections.abc import Iterator, Sequence

from grafana_foundation_sdk.builders import barchart, geomap, table, timeseries
from grafana_foundation_sdk.models.common import StackingMode

from qytet_dashboards.cities import City
from qytet_dashboards.vocabulary import Board, Panels, Words
from qytet_dashboards.vocabulary.board import Placed
from qytet_dashboards.vocabulary.colours import BAD, OK, WARN, steps
from qytet_dashboards.vocabulary.fields import Field, link_to, with_fields
from qytet_dashboards.vocabulary.queries import HIGHEST, LOWEST
from qytet_dashboards.vocabulary.states import SERVICE, STUCK
from qytet_dashboards.vocabulary.variables import channel, city, device, resolution, site

__all__ = ["build"]

_DOMAIN = "traffic"
_AGE = steps(OK, (1800, WARN), (3600, BAD))  # s
_SITES = """
select site_name, max(los)::integer as service, sum(flow) as flow,
sum(speed * count) / nullif(sum(count) filter (where speed >= 0), 0) as speed, max(stuck)::integer as stuck, lat, lon,
city, site
from qytet.lane_now(:cities, :sites, :devices, :channels)
group by city, site, site_name, lat, lon order by city, site
"""
# Of the chosen lanes the eight where it is densest now: more no eye tells apart.
_LANE = """
select l."time", l.label as metric, l.{value} as value
from qytet.lanes(qytet.densest(:cities, :sites, :devices, :channels, 8), :since, :till, :resolution) l order by 1, 2
"""
_SERVICE = _LANE.replace("{value}", "los::integer")
_COUNT = HIGHEST.replace("{property}", "vehicle_count").replace("{value}", "sum")
_NOW = """
select label, stuck::integer as stuck, los::integer as service, flow, speed, occupancy, age_s as age, site_name,
city, device
from qytet.lane_now(:cities, :sites, :devices, :channels)
order by stuck > 0 desc, los desc, flow desc nulls last, label limit 200
"""
# A total has no use for fine steps: those of a range four times as long do.
_BUSIEST = """
select d.device || case d.channel when '' then '' else ' · ' || d.channel end as label, s.vehicles
from (
select datastream_id, sum(sum) as vehicles
from qytet.series(qytet.streams(:cities, :sites, :devices, :channels, array['vehicle_count']), :since, :till,
qytet.resolution(:resolution, :till - 4 * (:till - :since), :till))
group by datastream_id having sum(n) > 0
) s join qytet.datastream d using (datastream_id) order by 2 desc, 1 limit 10
"""
# Two weeks, whatever range is shown: a day of each kind at least, most of them twice. Every hour has a place, so that
# the first day shows an empty day: of a bar chart without rows Grafana says itself that there is no data.
_USUAL = """
select to_char(n.hour, 'FM00') as hour, avg(h.vehicles) filter (where h.day <= 5) as workday,
avg(h.vehicles) filter (where h.day > 5) as weekend
from generate_series(0, 23) n (hour)
left join (
select extract(hour from s."time" at time zone 'Europe/Tirane')::integer as hour,
extract(isodow from s."time" at time zone 'Europe/Tirane')::integer as day, sum(s.sum) as vehicles
from qytet.series(qytet.streams(:cities, :sites, :devices, :channels, array['vehicle_count']),
:till - interval '14 days', date_trunc('hour', :till), 'hour') s
group by s."time"
) h using (hour) group by n.hour order by n.hour
"""


def build(language: str, cities: Sequence[City]) -> Iterator[Board]:  # noqa: ARG001
    """One board for all cities."""
    words = Words(language, "board_traffic")
    panels = Panels(words)
    yield Board(
        "traffic",
        words,
        variables=[
            city(words),
            site(words),
            device(words, _DOMAIN),
            channel(words, _DOMAIN),
            resolution(words),
        ],
        panels=[
            (_map(panels), 7, 8),
            (panels.states("service", _SERVICE, SERVICE).row_height(0.9), 17, 8),
            (panels.bars("count", _COUNT).decimals(0), 8, 6),
            (_line(panels, "vehicle_speed_mean", "speed", LOWEST), 8, 6),
            (_line(panels, "lane_occupancy", "occupancy", HIGHEST), 8, 6),
            (_now(panels), 12, 6),
            (panels.ranking("busiest", _BUSIEST).decimals(0), 6, 6),
            (_usual(panels), 6, 6),
        ],
        rows=[(words("more"), _more(panels))],
    )


def _map(panels: Panels) -> geomap.Panel:
    words = panels.words
    return with_fields(
        panels.map("map", _SITES, "service", SERVICE.thresholds(), SERVICE),
        words,
        Field("site_name", title="boards.site", link=link_to("traffic", words.language, ["city", "site"])),
        Field("service", title="level"),
        Field("flow", "suffix:1/h", 0, title="flow_short"),
        Field("speed", "velocitykmh", 0, title="speed"),
        Field("stuck", title="sensor", states=STUCK),
    )


def _line(panels: Panels, name: str, about: str, sql: str, value: str = "mean") -> timeseries.Panel:
    """A property by lane, with what it means for the road beside what the catalogue says of it."""
    panel = panels.of(name, value, sql)
    return panel.description(f"{panels.words.about(about)}\n\n{panel.build().description}")


def _now(panels: Panels) -> table.Panel:
    words = panels.words
    titles = {
        "label": "lane",
        "stuck": "sensor",
        "service": "level",
        "flow": "flow_short",
        "speed": "speed",
        "occupancy": "occupancy_short",
        "age": "boards.age",
        "site_name": "boards.site",
    }
    return with_fields(
        panels.table("lanes_now", _NOW, titles).no_value(words("no_lane")),
        words,
        Field("label", link=link_to("fleet", words.language, ["city", "device"])),
        Field("stuck", states=STUCK, width=100),
        Field("service", states=SERVICE, width=70),
        Field("flow", "suffix:1/h", 0, empty="–", width=80),
        Field("speed", "velocitykmh", 0, empty="–", width=80),
        Field("occupancy", "percent", 0, empty="–", width=70),
        Field("age", "dtdhms", 0, thresholds=_AGE, colour="text", width=80, empty="–"),
        Field("city", hidden=True),
        Field("device", hidden=True),
    )


def _usual(panels: Panels) -> barchart.Panel:
    words = panels.words
    return with_fields(
        panels.columns("usual", _USUAL, "suffix:1/h").stacking(StackingMode.NONE).x_field("hour").decimals(0),
        words,
        Field("workday", title="workday"),
        Field("weekend", title="weekend"),
    )


def _more(panels: Panels) -> list[Placed]:
    return [
        (_line(panels, "vehicle_flow_rate", "flow", _LANE, "flow"), 12, 8),
        (_line(panels, "vehicle_density", "density", _LANE, "density"), 12, 8),
    ]
