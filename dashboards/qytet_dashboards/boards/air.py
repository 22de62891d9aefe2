"""Air quality: the European index, pollutants, exceeded limits, wind and traffic beside them, flagged readings."""

from collections.abc import Iterator, Sequence

from grafana_foundation_sdk.builders import bargauge, dashboard, geomap, table, timeseries
from grafana_foundation_sdk.models import dashboard as models

from qytet.catalogue import properties
from qytet.units import display
from qytet_dashboards.cities import City
from qytet_dashboards.vocabulary import DATASOURCE, Board, Panels, Sql, Words
from qytet_dashboards.vocabulary.board import Placed
from qytet_dashboards.vocabulary.colours import BAD, EAQI, OK, POOR, WARN, steps
from qytet_dashboards.vocabulary.fields import Field, link_to, with_fields
from qytet_dashboards.vocabulary.queries import HIGHEST
from qytet_dashboards.vocabulary.states import AIR_INDEX, QUALITY
from qytet_dashboards.vocabulary.units import grafana_unit
from qytet_dashboards.vocabulary.variables import channel, city, device, resolution, site

__all__ = ["build"]

_DOMAIN = "air_quality"

_DIRECTIVE = (
    "select directive as __text, directive as __value from qytet.air_limit group by directive order by 1 desc"
)
_STATIONS = """
select site_name, index, worst, pm2_5, pm10, no2, o3, so2, provisional, device, city, lat, lon
from qytet.air_index_now(:cities, :sites, :devices) order by city, site_name, device
"""
# Of the chosen stations the fifteen that are worst now: more no eye tells apart.
_INDEX = """
with chosen as materialized (
select device from qytet.air_index_now(:cities, :sites, :devices) order by index desc, device limit 15
)
select "time", line as metric, index::integer as index
from qytet.air_index_line(:cities, :sites, array(select device from chosen), :since, :till) order by 1
"""
# Above the third band an hour is poor.
_POOR = """
select t."time", b.hi as poor from (values (:since), (:till)) t ("time")
join qytet.air_band b on b.property = '{property}' and b.band = 3 order by 1
"""
# The nearest to its allowance first; a limit without one (a year's mean) is beyond or not.
_EXCEEDED = """
select device, property, averaging, highest, limit_value, exceeded, this_year, allowed,
case when allowed is null then case when this_year > 0 then 2 else 0 end
when this_year > allowed then 2 when this_year > 0 then 1 else 0 end as verdict, "time", city, site
from qytet.air_exceedance(:cities, :sites, :devices, :since, :till, ${directive:sqlstring})
order by verdict desc, highest / nullif(limit_value, 0) desc nulls last, device limit 200
"""
# A city's wind and traffic, whatever station is chosen: they stand elsewhere in it. In so narrow a panel
# fits what fits a range four times as long.
_WIND = """
select s."time", c.name as metric, s.mean as value
from qytet.city_series(:cities, 'wind_speed', :since, :till, :resolution) s join qytet.city c using (city)
order by 1, 2
"""
_TRAFFIC = """
select s."time", c.name as metric, s.sum as value
from qytet.city_series(:cities, 'vehicle_count', :since, :till,
qytet.resolution(:resolution, :till - 4 * (:till - :since), :till)) s join qytet.city c using (city)
order by 1, 2
"""
_FLAGGED = """
select h.device, 100 * sum(h.suspect + h.failed)::double precision / sum(h.readings)::double precision as share
from qytet.delivery_hour h
where h.hour >= :since and h.hour < :till and qytet.chosen(h.city, :cities)
and qytet.chosen(h.site, :sites) and qytet.chosen(h.device, :devices)
and h.device in (select device from qytet.datastream where domain = 'air_quality')
group by h.device having sum(h.readings) > 0 order by 2 desc, 1 limit 8
"""
_LATEST = """
select l.device, l.property, l.value,
l.ucum, l.quality::integer as quality, extract(epoch from now() - l.phenomenon_time)::double precision as age, l.city
from qytet.latest l
where l.domain = 'air_quality' and qytet.chosen(l.city, :cities) and qytet.chosen(l.site, :sites)
and qytet.chosen(l.device, :devices) and qytet.chosen(case l.channel when '' then '-' else l.channel end, :channels)
order by l.property in ('pm2_5', 'pm10', 'no2', 'o3', 'so2') desc, l.property, l.device, l.channel limit 200
"""
_POLLUTANTS = ("pm2_5", "pm10", "no2", "o3", "so2", "co")


def build(language: str, cities: Sequence[City]) -> Iterator[Board]:  # noqa: ARG001
    """One board for all cities."""
    words = Words(language, "board_air")
    panels = Panels(words)
    yield Board(
        "air",
        words,
        variables=[
            city(words),
            site(words),
            device(words, _DOMAIN),
            channel(words, _DOMAIN),
            resolution(words),
            _directive(words),
        ],
        panels=[
            (_map(panels), 8, 7),
            (panels.states("index", _INDEX, AIR_INDEX), 16, 7),
            *((_pollutant(panels, name), 6, 6) for name in ("pm2_5", "pm10", "no2", "o3")),
            (_exceeded(panels), 11, 7),
            (panels.lines("wind", _WIND, "velocityms").decimals(1).min(0), 5, 7),
            (panels.lines("traffic", _TRAFFIC).decimals(0).min(0), 4, 7),
            (_flagged(panels), 4, 7),
        ],
        rows=[(words("more"), _more(panels))],
        since="now-48h",
    )


def _directive(words: Words) -> dashboard.QueryVariable:
    chosen = models.VariableOption(text="2024/2881", value="2024/2881", selected=True)
    return (
        dashboard.QueryVariable("directive")
        .label(words("directive"))
        .datasource(DATASOURCE)
        .query(_DIRECTIVE)
        .refresh(models.VariableRefresh.ON_DASHBOARD_LOAD)
        .sort(models.VariableSort.DISABLED)
        .multi(False)
        .include_all(False)
        .current(chosen)
    )


def _map(panels: Panels) -> geomap.Panel:
    words = panels.words
    return with_fields(
        panels.map("index_now", _STATIONS, "index", AIR_INDEX.thresholds(), AIR_INDEX),
        words,
        Field("site_name", title="boards.site"),
        Field("index", title="index_short"),
        Field("worst", title="worst", names=_names()),
        *(
            Field(name, grafana_unit("ug/m3"), 1, title=f"property.{name}", empty="–")
            for name in ("pm2_5", "pm10", "no2", "o3", "so2")
        ),
        Field("provisional", title="provisional", names={"true": "yesno.yes", "false": "yesno.no"}),
        Field("device", title="boards.device", link=link_to("fleet", words.language, ["city", "device"])),
    )


def _pollutant(panels: Panels, name: str) -> timeseries.Panel:
    """A pollutant of the index with the bound above which an hour's mean is poor."""
    words = panels.words
    panel = panels.of(name, sql=HIGHEST).with_target(
        Sql(_POOR.replace("{property}", name), "time_series", "B")
    )
    line = [
        models.DynamicConfigValue(id_val="displayName", value=words("poor")),
        models.DynamicConfigValue(id_val="color", value={"mode": "fixed", "fixedColor": EAQI[3]}),
        models.DynamicConfigValue(id_val="custom.lineStyle", value={"fill": "dash", "dash": [10, 10]}),
        models.DynamicConfigValue(id_val="custom.showPoints", value="never"),
    ]
    return panel.description(f"{words('poor_about')}\n\n{panel.build().description}").override_by_name(
        "poor", line
    )


def _exceeded(panels: Panels) -> table.Panel:
    words = panels.words
    titles = {
        "device": "boards.device",
        "property": "pollutant",
        "averaging": "averaging",
        "highest": "highest",
        "limit_value": "boards.limit",
        "exceeded": "exceeded",
        "this_year": "this_year",
        "allowed": "allowed",
    }
    verdict = steps(OK, (1, WARN), (2, BAD))
    return with_fields(
        panels.table("exceedances", _EXCEEDED, titles).no_value(words("no_hour")),
        words,
        Field("device", link=link_to("air", words.language, ["city", "device"])),
        Field("property", names=_names(), width=85),
        Field("averaging", names={name: f"board_air.averaging_{name}" for name in _AVERAGING}, width=60),
        Field("highest", decimals=1, empty="–", width=60),
        Field("limit_value", decimals=0, width=55),
        Field("exceeded", thresholds=steps(OK, (1, POOR)), colour="text", width=55),
        Field("this_year", width=60),
        Field("allowed", empty="–", width=55),
        Field("verdict", title="verdict", names=_VERDICT, thresholds=verdict, width=70),
        Field("time", hidden=True),
        Field("city", hidden=True),
        Field("site", hidden=True),
    )


_AVERAGING = ("hour", "day", "8h", "year")
_VERDICT = {"0": "board_air.verdict_0", "1": "board_air.verdict_1", "2": "board_air.verdict_2"}


def _flagged(panels: Panels) -> bargauge.Panel:
    # 5 and 25 %: as a rule of thumb what a healthy sensor's weather explains, and a quarter of an hour, beyond which
    # no hour of it is valid (Directive (EU) 2024/2881, annex V: 75 %).
    panel = panels.ranking("flagged", _FLAGGED, "percent", steps(OK, (5, WARN), (25, BAD)))
    return panel.decimals(1)


def _more(panels: Panels) -> list[Placed]:
    names = ("co", "air_temperature", "relative_humidity")
    return [*((panels.of(name, sql=HIGHEST), 5, 8) for name in names), (_latest(panels), 9, 8)]


def _latest(panels: Panels) -> table.Panel:
    """Whatever else stations measure: sulphur dioxide, benzene and others that only some of them have."""
    words = panels.words
    titles = {
        "device": "boards.device",
        "property": "pollutant",
        "value": "boards.value",
        "ucum": "boards.unit",
        "quality": "quality",
        "age": "boards.age",
    }
    rows = [row for row in properties().values() if row.domain == _DOMAIN]
    panel = panels.table("latest", _LATEST, titles).no_value(words("no_station"))
    units = models.ValueMap(
        options={row.ucum: models.ValueMappingResult(text=display(row.ucum)) for row in rows}
    )
    return with_fields(
        panel.override_by_name(
            "ucum", [models.DynamicConfigValue(id_val="mappings", value=[units.to_json()])]
        ),
        words,
        Field("device", link=link_to("fleet", words.language, ["city", "device"])),
        Field("property", names={row.property: f"property.{row.property}" for row in rows}),
        Field("value", decimals=1, empty="–", width=70),
        Field("ucum", width=70),
        Field("quality", states=QUALITY, width=100),
        Field("age", "dtdhms", thresholds=steps(OK, (1800, WARN), (3600, BAD)), colour="text", width=80),
        Field("city", hidden=True),
    )


def _names() -> dict[str, str]:
    return {name: f"property.{name}" for name in _POLLUTANTS}
