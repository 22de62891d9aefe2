"""Water supply: the least flow of the night, which leaks raise, pressure, tanks, quality against limits, volumes."""

from collections.abc import Iterator, Sequence

from grafana_foundation_sdk.builders import geomap, stat, table, timeseries
from grafana_foundation_sdk.models import dashboard as models

from qytet.catalogue import properties
from qytet.units import display
from qytet_dashboards.cities import City
from qytet_dashboards.vocabulary import Board, Panels, Sql, Words, variables
from qytet_dashboards.vocabulary.board import Placed
from qytet_dashboards.vocabulary.colours import BAD, NEUTRAL, OK, UNKNOWN, WARN, States, steps
from qytet_dashboards.vocabulary.fields import Field, link_to, with_fields
from qytet_dashboards.vocabulary.queries import HIGHEST, LOWEST
from qytet_dashboards.vocabulary.units import grafana_unit

__all__ = ["build"]

_FLOW, _VOLUME = grafana_unit("m3/h"), grafana_unit("m3")
_QUALITY = ("water_free_chlorine", "water_ph", "water_turbidity", "water_conductivity", "water_temperature")
_PRESSURE = ((1, WARN), (2, OK), (6, WARN))  # bar: design 2 to 6, under 1 supply is not assured
_RATIO = ((1.2, WARN), (1.5, BAD))  # of the night's least flow to the baseline
_PUMP = States("board_water", {0: ("pump_off", UNKNOWN), 1: ("pump_on", NEUTRAL)})

_ZONES = """
with newest as (
select distinct on (label) * from qytet.night_flow(:cities, :sites, :devices, :till - interval '3 days', :till)
where night_flow is not null order by label, "time" desc
)
select count(*) as zones, count(*) filter (where ratio > 1.5 and night_flow >= baseline + 0.5) as high,
count(*) filter (where ratio <= 1.5 or ratio > 1.5 and night_flow < baseline + 0.5) as usual,
count(*) filter (where not applicable) as intermittent,
count(*) filter (where applicable and ratio is null) as learning
from newest
"""
_NIGHTS = """
with newest as (
select distinct on (label) * from qytet.night_flow(:cities, :sites, :devices, :till - interval '3 days', :till)
where night_flow is not null order by label, "time" desc
)
select n.device, s.name as site_name, n.night_flow, n.baseline, n.ratio,
case when n.applicable then n.night_flow - n.baseline end as excess, n.pressure_min, n.applicable
from newest n join qytet.site s on s.city = n.city and s.site = n.site
order by n.ratio desc nulls last, n.applicable desc, n.device limit 200
"""
_LOWEST_PRESSURE = """
select min(value) as value from qytet.now(:cities, :sites, :devices, array['*']::text[], 'water_pressure')
where quality <= 2 and age_s < 7200
"""
# What fills and empties a tank is no zone's flow.
_FLOWS = """
with zone as (
select device::text from qytet.datastream where property = '{property}' and qytet.chosen(device, :devices)
except
select device::text from qytet.datastream where property = 'water_tank_level'
)
select s."time", s.label as metric, s.{value} as value
from qytet.lines(qytet.foremost(:cities, :sites, array(select device from zone), :channels, '{property}', 20, false),
:since, :till, :resolution) s order by 1, 2
"""
_BEYOND = """
select count(*) filter (where not ok) as value from qytet.water_quality_now(:cities, :sites, :devices)
"""
_YESTERDAY = """
select sum(m3) as value from qytet.water_balance(:cities, :sites, :devices, :till - interval '1 day', :till)
where "time" <= :till - interval '1 day'
"""
_MAP = """
select device, site_name, lat, lon, value, age_s
from qytet.now(:cities, :sites, :devices, array['*']::text[], 'water_pressure')
where quality <= 2 and age_s < 7200 order by 1
"""
_VOLUMES = """
with volume as materialized (
select "time", city, m3 from qytet.water_balance(:cities, :sites, :devices, :since, :till)
)
select "time", city as metric, sum(m3) as value from volume group by 1, 2 order by 1, 2
"""
_ZONE_VOLUMES = """
with volume as materialized (
select "time", device, m3 from qytet.water_balance(:cities, :sites, :devices, :since, :till)
), most as (
select device from volume group by device order by sum(m3) desc nulls last, device limit 20
)
select "time", device as metric, m3 as value from volume join most using (device) order by 1, 2
"""
_QUALITY_NOW = """
select q.device, q.site_name, q.property, q.value, q.ucum, q.low, q.high, q.ok, q.age_s, l.source
from qytet.water_quality_now(:cities, :sites, :devices) q left join qytet.water_limit l on l.property = q.property
order by q.ok is true or (q.low is null and q.high is null), q.ok nulls last, q.device, q.property limit 200
"""
_LIMIT = """
select t."time", l.side as metric, l.value
from (
select 'low' as side, low as value from qytet.water_limit where property = '{property}'
union all
select 'high', high from qytet.water_limit where property = '{property}'
) l cross join (values (:since), (:till)) t ("time")
where l.value is not null order by 1, 2
"""
# Of all zones those six whose night is furthest above its baseline, as each has two lines.
_BY_NIGHT = """
with night as materialized (
select "time", label, night_flow, baseline, ratio, applicable
from qytet.night_flow(:cities, :sites, :devices, :since, :till) where night_flow is not null
), most as (
select label from night group by label order by max(ratio) desc nulls last, max(night_flow) desc, label limit 6
)
select "time", label, night_flow, baseline from night join most using (label) order by 1, 2
"""
_TANK_FLOW = """
select "time", device, inlet, outlet
from qytet.tank(:cities, :sites, :devices, :since, :till, :resolution) order by 1, 2
"""
_TANK_LEVEL = """
select "time", device as metric, level as value
from qytet.tank(:cities, :sites, :devices, :since, :till, :resolution) where level is not null order by 1, 2
"""
_TANK_PUMP = """
select "time", device as metric, round(pump)::integer as value
from qytet.tank(:cities, :sites, :devices, :since, :till, :resolution) where pump is not null order by 1, 2
"""


def build(language: str, cities: Sequence[City]) -> Iterator[Board]:  # noqa: ARG001
    """One board for all cities."""
    words = Words(language, "board_water")
    panels = Panels(words)
    yield Board(
        "water",
        words,
        variables=[
            variables.city(words),
            variables.site(words),
            variables.device(words, "water"),
            variables.channel(words, "water"),
            variables.resolution(words),
        ],
        panels=[
            *_numbers(panels),
            (_nights(panels), 12, 6),
            (_map(panels), 6, 6),
            (panels.bars("volumes", _VOLUMES, _VOLUME), 6, 6),
            (panels.of("water_flow_rate", sql=_FLOWS).title(words("flows")), 12, 6),
            (_limited(panels, "water_pressure", LOWEST), 12, 6),
            (_levels(panels), 8, 5),
            (_quality(panels), 16, 5),
        ],
        rows=[
            (words("row_nights"), [(_by_night(panels), 12, 9), (_zone_volumes(panels), 12, 9)]),
            (words("row_tanks"), _tanks(panels)),
            (words("row_quality"), [(_limited(panels, name, HIGHEST), 8, 8) for name in _QUALITY]),
        ],
        since="now-7d",
    )


def _numbers(panels: Panels) -> list[Placed]:
    zones = with_fields(
        panels.number("zones_now", _ZONES, thresholds=steps(NEUTRAL)),
        panels.words,
        Field("zones", title="zones", thresholds=steps(NEUTRAL)),
        Field("high", title="high", thresholds=steps(OK, (1, BAD))),
        Field("usual", title="usual", thresholds=steps(OK)),
        Field("intermittent", title="intermittent", thresholds=steps(UNKNOWN)),
        Field("learning", title="learning", thresholds=steps(UNKNOWN)),
    )
    pressure = panels.number(
        "lowest_pressure", _LOWEST_PRESSURE, grafana_unit("bar"), steps(BAD, *_PRESSURE)
    ).decimals(1)
    unknown = Field("value", thresholds=steps(BAD, *_PRESSURE), empty="–")
    return [
        (zones, 12, 3),
        (with_fields(pressure, panels.words, unknown), 4, 3),
        (panels.number("beyond", _BEYOND, thresholds=steps(OK, (1, BAD))), 4, 3),
        (_yesterday(panels), 4, 3),
    ]


def _yesterday(panels: Panels) -> stat.Panel:
    return panels.number("yesterday", _YESTERDAY, _VOLUME).decimals(0).no_value("–")


def _nights(panels: Panels) -> table.Panel:
    words = panels.words
    return with_fields(
        panels.table("nights", _NIGHTS, {}).no_value(words("no_night")),
        words,
        Field("device", title="zone", link=link_to("water", words.language, ("device",))),
        Field("site_name", title="boards.site"),
        Field("night_flow", title="night_flow", unit=_FLOW, decimals=1, empty="–"),
        Field("baseline", title="baseline", unit=_FLOW, decimals=1, empty="…"),
        Field("ratio", title="ratio", unit="none", decimals=2, thresholds=steps(OK, *_RATIO), empty="–"),
        Field("excess", title="excess", unit=_FLOW, decimals=1, empty="–"),
        Field("pressure_min", title="pressure_min", unit=grafana_unit("bar"), decimals=1, empty="–"),
        Field(
            "applicable", title="valid", names={"true": "yesno.yes", "false": "board_water.not_applicable"}
        ),
    )


def _map(panels: Panels) -> geomap.Panel:
    return with_fields(
        panels.map("pressure_map", _MAP, "value", steps(BAD, *_PRESSURE)),
        panels.words,
        Field("device", title="zone"),
        Field("site_name", title="boards.site"),
        Field("value", title="pressure", unit=grafana_unit("bar"), decimals=1),
        Field("age_s", title="boards.age", unit="dtdhms"),
    )


def _limited(panels: Panels, name: str, sql: str) -> timeseries.Panel:
    """A property with its limits as the database has them, instead of the range in which a sensor is plausible."""
    panel = panels.of(name, sql=sql).thresholds(steps("transparent"))
    if name == "water_temperature":  # has no limit
        return panel
    limit = [
        _value("displayName", panels.words("boards.limit")),
        _value("color", {"mode": "fixed", "fixedColor": BAD}),
        _value("custom.lineStyle", {"fill": "dash", "dash": [10, 10]}),
        _value("custom.showPoints", "never"),
    ]
    return (
        panel.with_target(Sql(_LIMIT.replace("{property}", name), "time_series", "B"))
        .description(panels.words(f"{name}_about"))
        .override_by_regexp("/^(low|high)$/", limit)
    )


def _levels(panels: Panels) -> timeseries.Panel:
    return panels.of("water_tank_level", sql=_TANK_LEVEL).thresholds(steps("transparent")).min(0)


def _quality(panels: Panels) -> table.Panel:
    words = panels.words
    panel = panels.table("quality", _QUALITY_NOW, {}).no_value(words("no_probe"))
    return with_fields(
        panel.override_by_name("ucum", [_value("mappings", [_units().to_json()])]),
        words,
        Field("device", title="boards.device", link=link_to("water", words.language, ("device",))),
        Field("site_name", title="boards.site"),
        Field("property", title="boards.property", names={name: f"property.{name}" for name in _QUALITY}),
        Field("value", title="boards.value", empty="–"),
        Field("ucum", title="boards.unit", width=80),
        Field("low", title="low", empty="–", width=70),
        Field("high", title="high_limit", empty="–", width=70),
        Field(
            "ok",
            title="boards.state",
            names={"true": "board_water.keeps", "false": "board_water.breaks"},
            empty="–",
        ),
        Field("age_s", title="boards.age", unit="dtdhms"),
        Field("source", title="source", empty="–"),
    )


def _units() -> models.ValueMap:
    """Units as people write them, for their UCUM codes."""
    codes = sorted({properties()[name].ucum for name in _QUALITY})
    return models.ValueMap(
        {code: models.ValueMappingResult(text=display(code), index=at) for at, code in enumerate(codes)}
    )


def _by_night(panels: Panels) -> timeseries.Panel:
    name = "${__field.labels.label}"
    panel = panels.lines("by_night", _BY_NIGHT, _FLOW).no_value(panels.words("no_night"))
    return panel.override_by_regexp("/^night_flow/", [_value("displayName", name)]).override_by_regexp(
        "/^baseline/",
        [
            _value("displayName", f"{name} · {panels.words('baseline')}"),
            _value("custom.lineStyle", {"fill": "dash", "dash": [10, 10]}),
        ],
    )


def _zone_volumes(panels: Panels) -> timeseries.Panel:
    return panels.bars("zone_volumes", _ZONE_VOLUMES, _VOLUME)


def _tanks(panels: Panels) -> list[Placed]:
    flow = panels.lines("tank_flow", _TANK_FLOW, _FLOW)
    for side in ("inlet", "outlet"):
        title = f"${{__field.labels.device}} · {panels.words(f'channel.{side}')}"
        flow = flow.override_by_regexp(f"/^{side}/", [_value("displayName", title)])
    return [(flow, 12, 8), (panels.states("pump", _TANK_PUMP, _PUMP), 12, 8)]


def _value(id_val: str, value: object) -> models.DynamicConfigValue:
    return models.DynamicConfigValue(id_val, value)
