"""The country at a glance: one row a city, what is wrong now, and the way to each city's own overview."""

from collections.abc import Iterator, Sequence

from grafana_foundation_sdk.builders import geomap, table, timeseries
from grafana_foundation_sdk.models.common import TableCellHeight
from grafana_foundation_sdk.models.dashboard import DataTransformerConfig

from qytet_dashboards.cities import City
from qytet_dashboards.vocabulary import Board, Panels, Sql, Words
from qytet_dashboards.vocabulary.alarms import alarms
from qytet_dashboards.vocabulary.board import Placed
from qytet_dashboards.vocabulary.colours import BAD, OK, WARN, steps
from qytet_dashboards.vocabulary.fields import Field, link_to, with_fields
from qytet_dashboards.vocabulary.states import AIR_INDEX, CAUSE, SERVICE
from qytet_dashboards.vocabulary.variables import channel, city, device, resolution, site

__all__ = ["build"]

_PLACES = """
select c.name as place, coalesce(a.air, 0) as air, c.lat, c.lon, c.city
from qytet.city c
left join (
select city, max(index)::integer as air from qytet.air_index_now(:cities, :sites, :devices) group by city
) a using (city)
where qytet.chosen(c.city, :cities) order by c.name
"""
# What a city has of each subject is asked apart and joined by city: each question is short, and they run side by side.
_CITIES = """
select c.name as place, coalesce(a.air, 0) as air, c.city
from qytet.city c
left join (
select city, max(index)::integer as air from qytet.air_index_now(:cities, :sites, :devices) group by city
) a using (city)
where qytet.chosen(c.city, :cities) order by c.city
"""
_LAMPS = """
select c.city, count(distinct f.label) filter (where f.state = 4) as dark,
count(distinct f.label) filter (where f.state = 5) as burning
from qytet.city c
left join qytet.lamp_fault(:cities, :sites, :devices, :channels, :till - interval '24 hours', :till) f using (city)
where qytet.chosen(c.city, :cities) group by c.city order by c.city
"""
_WATER = """
select c.city, 100 * max(n.ratio) as night
from qytet.city c
left join (
select distinct on (device) city, ratio
from qytet.night_flow(:cities, :sites, :devices, :till - interval '3 days', :till)
where applicable order by device, "time" desc
) n using (city)
where qytet.chosen(c.city, :cities) group by c.city order by c.city
"""
_LANES = """
select c.city, coalesce(max(l.los), 0)::integer as service,
sum(l.speed * l.count) / nullif(sum(l.count) filter (where l.speed >= 0), 0) as speed
from qytet.city c
left join qytet.lane_now(:cities, :sites, :devices, :channels) l using (city)
where qytet.chosen(c.city, :cities) group by c.city order by c.city
"""
_DEVICES = """
select c.city, count(*) filter (where f.status in (3, 4)) as silent, coalesce(sum(f.missing), 0)::bigint as missing
from qytet.city c
left join qytet.fleet(:cities, :sites, :devices) f using (city)
where qytet.chosen(c.city, :cities) group by c.city order by c.city
"""
_OUTAGES = """
select c.name as place, o.cause, o.subject, o.devices, o.since, o.lasting_s as lasting, o.city
from qytet.outage o join qytet.city c using (city)
where qytet.chosen(o.city, :cities) order by o.lasting_s desc nulls last limit 200
"""
# Two days, whatever range is shown: an index of older hours is for the board of the air.
_AIR = """
select a."time", c.name as metric, max(a.index)::integer as index
from qytet.air_index(:cities, :sites, :devices, :till - interval '48 hours', :till) a join qytet.city c using (city)
group by 1, 2 order by 1, 2
"""
# In a panel of a third of the width fits what fits a range three times as long.
_TRAFFIC = """
select s."time", c.name as metric, s.sum as vehicles
from qytet.city_series(:cities, 'vehicle_count', :since, :till,
qytet.resolution(:resolution, :till - 3 * (:till - :since), :till)) s join qytet.city c using (city)
order by 1, 2
"""
_RECEIVED = """
select h.hour as "time", c.name as metric, sum(h.received)::bigint as records
from qytet.delivery_hour h join qytet.city c using (city)
where h.hour >= :since and h.hour < :till and qytet.chosen(h.city, :cities)
and qytet.chosen(h.site, :sites) and qytet.chosen(h.device, :devices)
group by 1, 2 order by 1, 2
"""
_POWER = """
select p."time", c.name as metric, sum(p.power) as power
from qytet.light_drawn(:cities, :sites, :devices, :since, :till, :resolution) p join qytet.city c using (city)
group by 1, 2 order by 1, 2
"""
_NIGHTS = """
select n."time", c.name as metric, sum(n.night_flow) as flow
from qytet.night_flow(:cities, :sites, :devices, :till - interval '30 days', :till) n join qytet.city c using (city)
where n.night_flow >= 0
group by 1, 2 order by 1, 2
"""
_FEW = steps(OK, (1, WARN), (5, BAD))


def build(language: str, cities: Sequence[City]) -> Iterator[Board]:  # noqa: ARG001 - cities are rows of the database
    """One board for the country."""
    words = Words(language, "board_national")
    panels = Panels(words)
    yield Board(
        "national",
        words,
        variables=[
            city(words),
            site(words),
            device(words),
            channel(words),
            resolution(words),
        ],
        panels=[
            (_map(panels), 8, 8),
            (_table(panels), 16, 8),
            (alarms(words, "alarms"), 8, 6),
            (_outages(panels), 16, 6),
            (panels.states("air", _AIR, AIR_INDEX).time_from("48h"), 8, 6),
            (_flow(panels), 8, 6),
            (panels.bars("received", _RECEIVED), 8, 6),
        ],
        rows=[(words("nights"), _nights(panels))],
    )


def _map(panels: Panels) -> geomap.Panel:
    words = panels.words
    return with_fields(
        panels.map("map", _PLACES, "air", AIR_INDEX.thresholds(), AIR_INDEX),
        words,
        Field("place", title="boards.city", link=link_to(_overview(), words.language)),
        Field("air", title="air_now"),
    )


def _table(panels: Panels) -> table.Panel:
    words = panels.words
    none = words("none_of_it")
    shown = panels.table("cities", _CITIES, {"place": "boards.city", "air": "air_now", **_COLUMNS})
    for ref, text in (("B", _LAMPS), ("C", _WATER), ("D", _LANES), ("E", _DEVICES)):
        shown = shown.with_target(Sql(text, ref=ref))
    return with_fields(
        shown.with_transformation(_BY_CITY).cell_height(TableCellHeight.LG),
        words,
        Field("place", link=link_to(_overview(), words.language)),
        Field("air", states=AIR_INDEX, link=_to("air", words)),
        Field("dark", thresholds=_FEW, link=_to("lighting", words), empty=none),
        Field("burning", thresholds=_FEW, link=_to("lighting", words), empty=none),
        # The alert fires from 150 %.
        Field("night", "percent", 0, thresholds=_NIGHT, link=_to("water", words), empty=none),
        Field("service", states=SERVICE, link=_to("traffic", words)),
        Field("speed", "velocitykmh", 0, link=_to("traffic", words), empty=none),
        Field("silent", thresholds=_FEW, link=_to("fleet", words)),
        Field("missing", thresholds=steps(OK, (1, WARN), (100, BAD)), link=_to("delivery", words)),
        Field("city", hidden=True),
    )


_BY_CITY = DataTransformerConfig(id_val="joinByField", options={"byField": "city", "mode": "outer"})
_NIGHT = steps(OK, (120, WARN), (150, BAD))
_COLUMNS = {
    "dark": "dark",
    "burning": "burning",
    "night": "night",
    "service": "service",
    "speed": "speed",
    "silent": "silent",
    "missing": "missing",
}


def _overview() -> str:
    return "city-${__data.fields.city}"


def _to(board: str, words: Words) -> str:
    return link_to(board, words.language, ["city"])


def _outages(panels: Panels) -> table.Panel:
    words = panels.words
    titles = {
        "place": "boards.city",
        "cause": "cause",
        "subject": "subject",
        "devices": "devices",
        "since": "boards.since",
        "lasting": "lasting",
    }
    return with_fields(
        panels.table("outages", _OUTAGES, titles).no_value(words("no_outage")),
        words,
        Field("place", link=link_to(_overview(), words.language)),
        Field("cause", names=CAUSE),
        Field("subject", link=_to("fleet", words)),
        Field("lasting", "dtdhms", thresholds=steps(WARN, (3600, BAD)), colour="text"),
        Field("city", hidden=True),
    )


def _flow(panels: Panels) -> timeseries.Panel:
    return panels.lines("traffic", _TRAFFIC).decimals(0).min(0)


def _nights(panels: Panels) -> list[Placed]:
    nights = panels.lines("night_flow", _NIGHTS, "suffix:m³/h")
    return [
        (panels.lines("power", _POWER, "watt").min(0), 12, 8),
        (nights.min(0).no_value(panels.words("board_city.no_night")), 12, 8),
    ]
