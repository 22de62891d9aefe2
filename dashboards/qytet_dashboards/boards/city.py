"""A city's overview, one board a city: what its operators open first in the morning."""

from collections.abc import Iterator, Sequence

from grafana_foundation_sdk.builders import dashboard, stat, table
from grafana_foundation_sdk.models.dashboard import DashboardLinkType

from qytet_dashboards.cities import City
from qytet_dashboards.vocabulary import Board, Panels, Words
from qytet_dashboards.vocabulary.alarms import alarms
from qytet_dashboards.vocabulary.board import Placed, uid
from qytet_dashboards.vocabulary.colours import BAD, OK, WARN, States, steps
from qytet_dashboards.vocabulary.fields import Field, link_to, with_fields
from qytet_dashboards.vocabulary.states import AIR_INDEX, FLEET, LAMP, SERVICE
from qytet_dashboards.vocabulary.variables import channel, device, fixed_city, resolution, site

__all__ = ["build"]

_INDEX = """
select coalesce(max(index), 0)::integer as index from qytet.air_index_now(:cities, :sites, :devices)
"""
# The last night is always in it, whatever range is shown.
_LAMPS = """
select count(distinct label) as lamps
from qytet.lamp_fault(:cities, :sites, :devices, :channels, :till - interval '24 hours', :till)
where state = {state}
"""
_DARK = _LAMPS.replace("{state}", "4")
_BURNING = _LAMPS.replace("{state}", "5")
_SERVICE = """
select coalesce(max(los), 0)::integer as service from qytet.lane_now(:cities, :sites, :devices, :channels)
"""
_QUALITY = """
select count(*) filter (where not ok) as beyond from qytet.water_quality_now(:cities, :sites, :devices)
"""
_SILENT = """
select count(*) filter (where status in (3, 4)) as silent from qytet.fleet(:cities, :sites, :devices)
"""
_MISSING = """
select coalesce(sum(missing), 0)::bigint as missing from qytet.fleet(:cities, :sites, :devices)
"""
_STATIONS = """
select site_name, index, worst, device, lat, lon, city from qytet.air_index_now(:cities, :sites, :devices)
order by site_name, device
"""
# Two days, whatever range is shown: an index of older hours is for the board of the air.
_AIR = """
select "time", site_name as metric, max(index)::integer as index
from qytet.air_index(:cities, :sites, :devices, :till - interval '48 hours', :till) group by 1, 2 order by 1, 2
"""
_TRAFFIC = """
select site_name, max(los)::integer as service, sum(flow) as flow,
sum(speed * count) / nullif(sum(count) filter (where speed >= 0), 0) as speed, min(age_s) as age, city, site
from qytet.lane_now(:cities, :sites, :devices, :channels)
group by city, site, site_name order by 2 desc, 3 desc nulls last limit 200
"""
_NIGHT = """
select distinct on (n.device) n.device, n.night_flow, n.baseline, 100 * n.ratio as share, n.city
from qytet.night_flow(:cities, :sites, :devices, :till - interval '3 days', :till) n
where n.night_flow >= 0 order by n.device, n."time" desc limit 200
"""
_FAULTS = """
select site_name, label, state, hours, city, site, device, channel
from qytet.lamp_fault(:cities, :sites, :devices, :channels, :till - interval '24 hours', :till)
order by ongoing desc, hours desc limit 200
"""
_QUIET = """
select device, status, silent_s as silent, site_name, city, site from qytet.fleet(:cities, :sites, :devices)
order by array_position(array[3, 4, 0, 2, 1, 5], status::integer), silent_s desc nulls first limit 200
"""
_POWER = """
select "time", sum(power) as power, sum(scheduled) as scheduled
from qytet.light_drawn(:cities, :sites, :devices, :since, :till, :resolution) group by 1 order by 1
"""
# In a panel of a third of the width fits what fits a range three times as long.
_FLOW = """
select v."time", s.name as metric, sum(v.vehicles) as vehicles
from (
select "time", datastream_id, sum as vehicles
from qytet.series(qytet.streams(:cities, :sites, :devices, :channels, array['vehicle_count']), :since, :till,
qytet.resolution(:resolution, :till - 3 * (:till - :since), :till)) where n > 0
) v
join qytet.datastream d using (datastream_id)
join qytet.site s using (city, site)
group by 1, 2 order by 1, 2
"""
_DELIVERY = """
select hour as "time", sum(received - late)::bigint as prompt, sum(late)::bigint as late,
sum(rejected)::bigint as rejected
from qytet.delivery_hour
where hour >= :since and hour < :till and qytet.chosen(city, :cities)
and qytet.chosen(site, :sites) and qytet.chosen(device, :devices)
group by 1 order by 1
"""
_FEW = steps(OK, (1, WARN), (5, BAD))
_ANY = steps(OK, (1, BAD))
_AGE = steps(OK, (1800, WARN), (3600, BAD))  # s


def build(language: str, cities: Sequence[City]) -> Iterator[Board]:
    """One board a city, in the folder of the city."""
    words = Words(language, "board_city")
    for one in cities:
        yield _board(one, words)


def _board(one: City, words: Words) -> Board:
    panels = Panels(words)
    name = one.name(words.language)
    return Board(
        f"city-{one.slug}",
        words,
        variables=[
            fixed_city(one.slug),
            site(words),
            device(words),
            channel(words),
            resolution(words),
        ],
        panels=[*_numbers(panels), *_state(panels), *_works(panels)],
        rows=[(words("more"), _more(panels))],
        folder=one.slug,
        title=words("title", city=name),
        about=words("about", city=name),
    )


def _numbers(panels: Panels) -> list[Placed]:
    """What is wrong, in one line: each number leads to the board that explains it."""
    small = [
        _worst(panels, "index", _INDEX, AIR_INDEX, "air"),
        _count(panels, "dark", _DARK, _FEW, "lighting"),
        _count(panels, "burning", _BURNING, _FEW, "lighting"),
        _count(panels, "quality", _QUALITY, _ANY, "water"),
        _worst(panels, "service", _SERVICE, SERVICE, "traffic"),
        _count(panels, "silent", _SILENT, _FEW, "fleet"),
        _count(panels, "missing", _MISSING, steps(OK, (1, WARN), (100, BAD)), "delivery"),
    ]
    return [
        *((panel, 3, 3) for panel in small),
        (alarms(panels.words, "alarms", '{city="${city}"}', count=True), 3, 3),
    ]


def _state(panels: Panels) -> list[Placed]:
    words = panels.words
    stations = with_fields(
        panels.map("map", _STATIONS, "index", AIR_INDEX.thresholds(), AIR_INDEX),
        words,
        Field("site_name", title="boards.site"),
        Field("index", title="index", link=link_to("air", words.language, ["city", "device"])),
        Field("worst", title="worst", names=_POLLUTANTS),
        Field("device", title="boards.device"),
    )
    return [
        (stations, 8, 8),
        (panels.states("air", _AIR, AIR_INDEX).time_from("48h"), 8, 8),
        (_traffic(panels), 8, 8),
    ]


def _works(panels: Panels) -> list[Placed]:
    return [
        (panels.of("water_tank_level"), 5, 8),
        (_night(panels), 6, 8),
        (_faults(panels), 6, 8),
        (_quiet(panels), 7, 8),
    ]


def _more(panels: Panels) -> list[Placed]:
    return [
        (panels.lines("power", _POWER, "watt").min(0), 8, 8),
        (panels.lines("flow", _FLOW).decimals(0).min(0), 8, 8),
        (panels.bars("delivery", _DELIVERY), 8, 8),
    ]


def _worst(panels: Panels, name: str, sql: str, states: States, board: str) -> stat.Panel:
    panel = panels.number(name, sql, thresholds=states.thresholds()).mappings([states.mapping(panels.words)])
    return panel.data_links([_link(panels.words, board)])


def _count(
    panels: Panels, name: str, sql: str, thresholds: dashboard.ThresholdsConfig, board: str
) -> stat.Panel:
    return panels.number(name, sql, thresholds=thresholds).data_links([_link(panels.words, board)])


def _link(words: Words, board: str) -> dashboard.DashboardLink:
    link = dashboard.DashboardLink(words("boards.open")).type(DashboardLinkType.LINK)
    return link.url(f"/d/{uid(board, words.language)}?${{__url_time_range}}&var-city=${{city}}")


def _traffic(panels: Panels) -> table.Panel:
    words = panels.words
    titles = {
        "site_name": "boards.site",
        "service": "service_short",
        "flow": "flow_short",
        "speed": "speed",
        "age": "boards.age",
    }
    return with_fields(
        panels.table("traffic", _TRAFFIC, titles).no_value(words("no_traffic")),
        words,
        Field("site_name", link=link_to("traffic", words.language, ["city", "site"])),
        Field("service", states=SERVICE, width=60),
        Field("flow", "suffix:1/h", 0, empty="–", width=80),
        Field("speed", "velocitykmh", 0, empty="–", width=75),
        Field("age", "dtdhms", 0, thresholds=_AGE, colour="text", width=80, empty="–"),
        Field("city", hidden=True),
        Field("site", hidden=True),
    )


def _night(panels: Panels) -> table.Panel:
    words = panels.words
    titles = {"device": "boards.device", "night_flow": "last_night", "baseline": "usual", "share": "share"}
    return with_fields(
        panels.table("night", _NIGHT, titles).no_value(words("no_night")),
        words,
        Field("device", link=link_to("water", words.language, ["city", "device"])),
        Field("night_flow", "suffix:m³/h", 1, width=75),
        Field("baseline", "suffix:m³/h", 1, empty="–", width=75),
        Field("share", "percent", 0, thresholds=steps(OK, (120, WARN), (150, BAD)), empty="–", width=60),
        Field("city", hidden=True),
    )


def _faults(panels: Panels) -> table.Panel:
    words = panels.words
    titles = {"site_name": "boards.site", "label": "lamp", "state": "boards.state", "hours": "boards.hours"}
    return with_fields(
        panels.table("faults", _FAULTS, titles).no_value(words("no_fault")),
        words,
        Field("label", link=link_to("lighting", words.language, ["city", "device"])),
        Field("state", states=LAMP, width=95),
        Field("hours", "h", 1, width=55),
        *(Field(name, hidden=True) for name in ("city", "site", "device", "channel")),
    )


def _quiet(panels: Panels) -> table.Panel:
    words = panels.words
    titles = {
        "device": "boards.device",
        "status": "boards.state",
        "silent": "silent_for",
        "site_name": "boards.site",
    }
    return with_fields(
        panels.table("quiet", _QUIET, titles).no_value(words("no_silence")),
        words,
        Field("device", link=link_to("fleet", words.language, ["city", "device"])),
        Field("status", states=FLEET, width=85),
        Field("silent", "dtdhms", 0, empty="–", width=80),
        Field("city", hidden=True),
        Field("site", hidden=True),
    )


_POLLUTANTS = {name: f"property.{name}" for name in ("pm2_5", "pm10", "no2", "o3", "so2")}
