"""Public lighting: power against schedule, energy, which lamps are dark, burn by day or cycle, and their cabinets."""

from collections.abc import Iterator, Sequence

from grafana_foundation_sdk.builders import geomap, stat, table, timeseries
from grafana_foundation_sdk.models import dashboard as models

from qytet_dashboards.cities import City
from qytet_dashboards.vocabulary import Board, Panels, Words, variables
from qytet_dashboards.vocabulary.board import Placed
from qytet_dashboards.vocabulary.colours import (
    BAD,
    DAY_BURNING,
    NEUTRAL,
    OK,
    POOR,
    UNKNOWN,
    WARN,
    States,
    steps,
)
from qytet_dashboards.vocabulary.fields import Field, link_to, with_fields
from qytet_dashboards.vocabulary.states import LAMP

__all__ = ["build"]

_SHORT_TIME = "time:DD.MM. HH:mm"

# By day no lamp is asked to burn: a lamp is what it is now, unless a fault of the last nights goes on.
_COUNTS = """
with fault as materialized (
select distinct on (device, channel) device, channel, state
from qytet.lamp_fault(:cities, :sites, :devices, :channels, :till - interval '3 days', :till) where ongoing
order by device, channel, since_time desc
), lamp as (
select case when l.state between 4 and 7 then l.state else coalesce(f.state, l.state) end as state
from qytet.lamp_now(:cities, :sites, :devices, :channels) l left join fault f using (device, channel)
)
select count(*) as lamps, count(*) filter (where state in (2, 3)) as lit, count(*) filter (where state = 1) as off,
count(*) filter (where state = 4) as dark, count(*) filter (where state = 5) as day_burning,
count(*) filter (where state = 6) as cycling, count(*) filter (where state = 7) as off_expectation,
count(*) filter (where state = 0) as unknown
from lamp
"""
_COLOURS = {
    "dark": BAD,
    "day_burning": DAY_BURNING,
    "cycling": POOR,
    "off_expectation": WARN,
    "unknown": UNKNOWN,
}

# A marker a site, in the colour of its worst lamp: dark, then cycling, burning by day, off its expectation, unknown.
_PLACES = """
with fault as materialized (
select distinct on (device, channel) device, channel, state
from qytet.lamp_fault(:cities, :sites, :devices, :channels, :till - interval '3 days', :till) where ongoing
order by device, channel, since_time desc
), lamp as (
select l.site_name, l.lat, l.lon,
case when l.state between 4 and 7 then l.state else coalesce(f.state, l.state) end::integer as state
from qytet.lamp_now(:cities, :sites, :devices, :channels) l left join fault f using (device, channel)
)
select site_name, lat, lon,
(array_agg(state order by array_position(array[4, 6, 5, 7, 0, 2, 3, 1], state)))[1] as state,
count(*) as lamps, count(*) filter (where state between 4 and 7) as faulty
from lamp group by site_name, lat, lon order by 1
"""
_POWER = """
select "time", city, power, scheduled
from qytet.light_drawn(:cities, :sites, :devices, :since, :till, :resolution) order by 1, 2
"""
_ENERGY = """
select "time", city as metric, sum(kwh) as value
from qytet.light_energy(:cities, :sites, :devices, :since, :till) group by 1, 2 order by 1, 2
"""
_FAULTS = """
select f.device, case f.channel when '' then '-' else f.channel end as channel, f.site_name, f.state, f.since_time,
case when not f.ongoing then f.until_time end as until_time, f.hours
from qytet.lamp_fault(:cities, :sites, :devices, :channels, :since, :till) f
order by f.ongoing desc, f.hours desc, f.device, f.channel limit 200
"""
_TIMELINE = """
with lamp as materialized (
select "time", label, state from qytet.lamp_state(:cities, :sites, :devices, :channels, :since, :till, :resolution)
), faulty as (
select label from lamp where state between 4 and 7 group by label order by count(*) desc, label limit 30
)
select "time", label as metric, state::integer as value from lamp join faulty using (label)
union all
select :since, '–', -1 where not exists (select from faulty)
order by 1, 2
"""
_FAULTY = States("states", {-1: ("board_lighting.no_fault", OK)} | dict(LAMP.codes))

# Cabinets feed lamps of many sites: they are shown for the city, whatever site or lamp is chosen.
_CABINET = """
select "time", label as metric, {value} as value
from qytet.property_series(:cities, array['*']::text[], array(
select device::text from qytet.datastream where property = 'cabinet_active_power' order by device limit 12
), array['*']::text[], '{property}', :since, :till, :resolution)
order by 1, 2
"""
# Of the chosen controllers the one whose lamps were out of order longest: more lines cannot be told apart.
_LAMP = """
with worst as materialized (
select l.device from qytet.lamp(:cities, :sites, :devices, :channels) l
left join (
select device, max(hours) as hours
from qytet.lamp_fault(:cities, :sites, :devices, :channels, :till - interval '3 days', :till) group by 1
) f using (device)
order by f.hours desc nulls last, 1 limit 1
)
select "time", label, {columns}
from qytet.lamp_drawn(:cities, :sites, array(select device from worst), :channels, :since, :till, :resolution)
order by 1, 2
"""
_LAMP_PROPERTY = """
with worst as materialized (
select l.device from qytet.lamp(:cities, :sites, :devices, :channels) l
left join (
select device, max(hours) as hours
from qytet.lamp_fault(:cities, :sites, :devices, :channels, :till - interval '3 days', :till) group by 1
) f using (device)
order by f.hours desc nulls last, 1 limit 1
)
select "time", label as metric, {value} as value
from qytet.property_series(:cities, :sites, array(select device from worst), array['*']::text[], '{property}',
:since, :till, :resolution)
order by 1, 2
"""
_NOW = """
select device, case channel when '' then '-' else channel end as channel, site_name, state, level, power, expected,
rated, voltage, power_factor, age_s
from qytet.lamp_now(:cities, :sites, :devices, :channels)
order by state between 4 and 7 desc, device, channel limit 200
"""


def build(language: str, cities: Sequence[City]) -> Iterator[Board]:  # noqa: ARG001
    """One board for all cities."""
    words = Words(language, "board_lighting")
    panels = Panels(words)
    yield Board(
        "lighting",
        words,
        variables=[
            variables.city(words),
            variables.site(words),
            variables.device(words, "lighting"),
            variables.channel(words, "lighting"),
            variables.resolution(words),
        ],
        panels=[
            (_counts(panels), 24, 4),
            (_places(panels), 8, 8),
            (_against(panels.lines("power", _POWER, "watt"), words, "city"), 16, 8),
            (_faults(panels), 16, 8),
            (panels.bars("energy", _ENERGY, "kwatth"), 8, 8),
        ],
        rows=[
            (words("row_timeline"), [(panels.states("timeline", _TIMELINE, _FAULTY), 24, 12)]),
            (words("row_cabinets"), _cabinets(panels)),
            (words("row_lamp"), _lamp(panels)),
        ],
        since="now-3d",
    )


def _counts(panels: Panels) -> stat.Panel:
    faults = [Field(name, title=name, thresholds=steps(OK, (1, colour))) for name, colour in _COLOURS.items()]
    plain = [Field(name, title=name, thresholds=steps(NEUTRAL)) for name in ("lamps", "lit", "off")]
    return with_fields(
        panels.number("counts", _COUNTS, thresholds=steps(NEUTRAL)), panels.words, *plain, *faults
    )


def _places(panels: Panels) -> geomap.Panel:
    return with_fields(
        panels.map("places", _PLACES, "state", LAMP.thresholds(), LAMP),
        panels.words,
        Field("site_name", title="boards.site"),
        Field("state", title="boards.state"),
        Field("lamps", title="lamps"),
        Field("faulty", title="faulty"),
    )


def _against(panel: timeseries.Panel, words: Words, label: str) -> timeseries.Panel:
    """What is drawn bears its label's name; what should be is dashed beside it."""
    name = f"${{__field.labels.{label}}}"
    return panel.override_by_regexp("/^power/", [_value("displayName", name)]).override_by_regexp(
        "/^(scheduled|expected)/",
        [
            _value("displayName", f"{name} · {words('planned')}"),
            _value("custom.lineStyle", {"fill": "dash", "dash": [10, 10]}),
        ],
    )


def _faults(panels: Panels) -> table.Panel:
    words = panels.words
    panel = panels.table("faults", _FAULTS, {}).no_value(words("no_fault"))
    return with_fields(
        panel,
        words,
        *_identity(words),
        Field("state", title="boards.state", states=LAMP, width=170),
        Field("since_time", title="boards.since", unit=_SHORT_TIME, width=120),
        Field("until_time", title="boards.until", unit=_SHORT_TIME, width=120, empty="…"),
        Field("hours", title="boards.hours", unit="none", decimals=1, width=80),
    )


def _cabinets(panels: Panels) -> list[Placed]:
    shown = (
        "cabinet_active_power",
        "grid_phase_voltage",
        "grid_current",
        "photocell_illuminance",
        "grid_frequency",
    )
    return [(panels.of(name, sql=_CABINET), 8, 8) for name in shown]


def _lamp(panels: Panels) -> list[Placed]:
    power = panels.lines("lamp_power", _LAMP.replace("{columns}", "power, expected"), "watt")
    level = panels.lines("lamp_level", _LAMP.replace("{columns}", "level"), "percent").min(0).max(100)
    return [
        (_against(power, panels.words, "label"), 12, 8),
        (level.override_by_regexp("/^level/", [_value("displayName", "${__field.labels.label}")]), 12, 8),
        (panels.of("lamp_supply_voltage", sql=_LAMP_PROPERTY), 12, 8),
        (panels.of("lamp_power_factor", sql=_LAMP_PROPERTY), 12, 8),
        (_now(panels), 24, 10),
    ]


def _now(panels: Panels) -> table.Panel:
    words = panels.words
    panel = panels.table("lamps_now", _NOW, {}).no_value(words("no_lamp"))
    return with_fields(
        panel,
        words,
        *_identity(words),
        Field("state", title="boards.state", states=LAMP),
        Field("level", title="level", unit="percent", decimals=0, empty="–"),
        Field("power", title="drawn", unit="watt", decimals=1, empty="–"),
        Field("expected", title="planned", unit="watt", decimals=1, empty="–"),
        Field("rated", title="rated", unit="watt", decimals=1, empty="–"),
        Field("voltage", title="voltage", unit="volt", decimals=0, empty="–"),
        Field("power_factor", title="power_factor", unit="none", decimals=2, empty="–"),
        Field("age_s", title="boards.age", unit="dtdhms", empty="–"),
    )


def _identity(words: Words) -> list[Field]:
    """Which lamp: a click chooses it on this board, so that the last row shows it alone."""
    link = link_to("lighting", words.language, ("device", "channel"))
    return [
        Field("device", title="boards.device", link=link, width=170),
        Field("channel", title="boards.channel", width=80),
        Field("site_name", title="boards.site"),
    ]


def _value(id_val: str, value: object) -> models.DynamicConfigValue:
    return models.DynamicConfigValue(id_val, value)
