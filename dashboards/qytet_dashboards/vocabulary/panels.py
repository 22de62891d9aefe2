"""The panels of our dashboards: each kind once, with the same legend, tooltip, colours and empty text everywhere.

A panel is named by a key of the catalogue of messages: `NAME` is its title, `NAME_about` what it explains of itself.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeVar

from grafana_foundation_sdk.builders import (
    barchart,
    bargauge,
    common,
    dashboard,
    geomap,
    stat,
    statetimeline,
    table,
    timeseries,
)
from grafana_foundation_sdk.models import common as models
from grafana_foundation_sdk.models import dashboard as dashboards
from grafana_foundation_sdk.models import geomap as geomaps

from qytet.catalogue import Property, properties
from qytet.units import display
from qytet_dashboards.vocabulary.board import Panel
from qytet_dashboards.vocabulary.colours import BAD, NEUTRAL, UNKNOWN, WARN, States, steps
from qytet_dashboards.vocabulary.sql import DATASOURCE, Sql
from qytet_dashboards.vocabulary.units import decimals, grafana_unit
from qytet_dashboards.vocabulary.words import Words

__all__ = ["Panels"]

P = TypeVar("P", bound=Panel)

# Grafana puts all series into one table by time, where each is null at the instants of the others: only over a greater
# distance is a null a gap.
_APART_MS = 3_600_000

# Of a column whose width is not said. Grafana's own least, 150, makes most tables wider than their panel.
_NARROWEST_PX = 60

# How near a map goes: streets. A fitted view takes `zoom` for its bound before `maxZoom`, and where it is missing
# Grafana's own default of 1, which would show the whole world.
_NEAREST = 15

# A page of a state timeline holds all that we ever ask for; what is on a second page nobody sees.
_PAGE = 50

# Of a category's name so many signs are shown (with 0, none is), and so many pixels lie between two names.
_SIGNS, _BETWEEN_PX = 24, 30

_PROPERTY = """
select "time", label as metric, {value} as value
from qytet.property_series(:cities, :sites, :devices, :channels, '{property}', :since, :till, :resolution)
order by 1, 2
"""


@dataclass(frozen=True, slots=True)
class Panels:
    """Makes panels in one language; queries are those of `vocabulary.sql`."""

    words: Words

    # ---- of an observed property: unit, range, thresholds and description come from the catalogue

    def of(self, name: str, value: str = "mean", sql: str = _PROPERTY) -> timeseries.Panel:
        """A property over time, a line a device and channel; `value` is a column of qytet.property_series."""
        row = properties()[name]
        text = sql.replace("{property}", row.property).replace("{value}", value)
        return (
            self._lines(text, grafana_unit(row.ucum))
            .title(self.words.property(name))
            .description(self._about(row))
            .decimals(decimals(row))
            .axis_label(display(row.ucum))
            .thresholds(steps("transparent", (row.suspect_max, WARN), (row.fail_max, BAD)))
            .thresholds_style(
                common.GraphThresholdsStyleConfig().mode(models.GraphThresholdsStyleMode.DASHED)
            )
        )

    def _about(self, row: Property) -> str:
        values = {
            name: f"{value:g}".replace(".", "," if self.words.language == "sq" else ".")
            for name, value in (
                ("suspect_min", row.suspect_min),
                ("suspect_max", row.suspect_max),
                ("fail_min", row.fail_min),
                ("fail_max", row.fail_max),
            )
        }
        return self.words(
            "boards.property_about", unit=display(row.ucum) or "1", source=row.reference or "-", **values
        )

    # ---- over time

    def lines(self, name: str, sql: str, unit: str = "none") -> timeseries.Panel:
        """Lines: columns `time`, `metric` (optional) and numbers, ascending."""
        return self._named(self._lines(sql, unit), name)

    def bars(self, name: str, sql: str, unit: str = "none") -> timeseries.Panel:
        """Stacked bars over time, for counts and sums a bucket; the same columns as `lines`."""
        panel = self._lines(sql, unit).draw_style(models.GraphDrawStyle.BARS).fill_opacity(80).line_width(0)
        return self._named(panel.stacking(common.StackingConfig().mode(models.StackingMode.NORMAL)), name)

    def _lines(self, sql: str, unit: str) -> timeseries.Panel:
        return (
            timeseries.Panel()
            .datasource(DATASOURCE)
            .with_target(Sql(sql, "time_series"))
            .unit(unit)
            .line_width(1)
            .fill_opacity(0)
            .show_points(models.VisibilityMode.AUTO)
            .span_nulls(_APART_MS)
            .color_scheme(_palette())
            .legend(_legend())
            .tooltip(_tooltip())
            .no_value(self.words("boards.empty"))
        )

    def states(self, name: str, sql: str, states: States) -> statetimeline.Panel:
        """A bar a thing, coloured by its state's code: columns `time`, `metric`, one number, ascending."""
        panel = (
            statetimeline.Panel()
            .datasource(DATASOURCE)
            .with_target(Sql(sql, "time_series"))
            .merge_values(True)
            .override_by_regexp("/.*/", [_value("custom.spanNulls", _APART_MS)])  # the SDK does not know it
            .show_value(models.VisibilityMode.NEVER)
            .row_height(0.85)
            .per_page(_PAGE)
            .fill_opacity(85)
            .color_scheme(_by_word())
            .mappings([states.mapping(self.words)])
            .legend(_legend())
            .tooltip(_tooltip())
            .no_value(self.words("boards.empty"))
        )
        return self._named(panel, name)

    # ---- now

    def number(
        self, name: str, sql: str, unit: str = "none", thresholds: dashboard.ThresholdsConfig | None = None
    ) -> stat.Panel:
        """One or some large numbers: each number column of the first row is one (or a row each with `rows`)."""
        panel = (
            stat.Panel()
            .datasource(DATASOURCE)
            .with_target(Sql(sql))
            .unit(unit)
            .graph_mode(models.BigValueGraphMode.NONE)
            .color_mode(
                models.BigValueColorMode.VALUE
                if thresholds is None
                else models.BigValueColorMode.BACKGROUND_SOLID
            )
            .color_scheme(_by_threshold())
            .thresholds(thresholds or steps(NEUTRAL))
            .reduce_options(common.ReduceDataOptions().calcs(["lastNotNull"]).values(False))
            .no_value(self.words("boards.empty"))
        )
        return self._named(panel, name)

    def numbers(
        self, name: str, sql: str, unit: str = "none", thresholds: dashboard.ThresholdsConfig | None = None
    ) -> stat.Panel:
        """A large number a row: a text column names it, a number column is it."""
        panel = self.number(name, sql, unit, thresholds)
        return panel.reduce_options(common.ReduceDataOptions().calcs(["lastNotNull"]).values(True)).text_mode(
            models.BigValueTextMode.VALUE_AND_NAME
        )

    def state(self, name: str, sql: str, states: States) -> stat.Panel:
        """A word in its colour a row: a text column names it, a number column is the state's code."""
        panel = self.numbers(name, sql, thresholds=states.thresholds())
        return panel.mappings([states.mapping(self.words)])

    def ranking(
        self, name: str, sql: str, unit: str = "none", thresholds: dashboard.ThresholdsConfig | None = None
    ) -> bargauge.Panel:
        """Horizontal bars from zero on, a row each: a text and a number column, in the order to be shown."""
        panel = (
            bargauge.Panel()
            .datasource(DATASOURCE)
            .with_target(Sql(sql))
            .unit(unit)
            .min(0)
            .orientation(models.VizOrientation.HORIZONTAL)
            .display_mode(models.BarGaugeDisplayMode.BASIC)
            .color_scheme(_by_threshold())
            .thresholds(thresholds or steps(NEUTRAL))
            .reduce_options(common.ReduceDataOptions().calcs(["lastNotNull"]).values(True))
            .no_value(self.words("boards.empty"))
        )
        return self._named(panel, name)

    def columns(self, name: str, sql: str, unit: str = "none") -> barchart.Panel:
        """Vertical bars a category: a text (or time) column first, number columns beside it, stacked."""
        panel = (
            barchart.Panel()
            .datasource(DATASOURCE)
            .with_target(Sql(sql))
            .unit(unit)
            .stacking(models.StackingMode.NORMAL)
            .show_value(models.VisibilityMode.NEVER)
            .x_tick_label_max_length(_SIGNS)
            .x_tick_label_spacing(_BETWEEN_PX)
            .color_scheme(_palette())
            .legend(_legend())
            .tooltip(_tooltip())
            .no_value(self.words("boards.empty"))
        )
        return self._named(panel, name)

    def table(self, name: str, sql: str, titles: Mapping[str, str]) -> table.Panel:
        """Rows: `titles` gives each column of the query its message key (`boards.device` …); others are hidden."""
        panel = (
            table.Panel()
            .datasource(DATASOURCE)
            .with_target(Sql(sql))
            .filterable(True)
            .cell_height(models.TableCellHeight.SM)
            .min_width(_NARROWEST_PX)
            .no_value("")
        )
        for column, key in titles.items():
            panel = panel.override_by_name(column, [_value("displayName", self.words(key))])
        return self._named(panel, name)

    def map(
        self,
        name: str,
        sql: str,
        value: str,
        thresholds: dashboard.ThresholdsConfig,
        states: States | None = None,
    ) -> geomap.Panel:
        """Markers where things stand: columns `lat`, `lon`, a number (`value` names it) that colours them, texts."""
        markers = (
            common.MapLayerOptions()
            .type("markers")
            .name(self.words(name))
            .tooltip(True)
            .location(
                common.FrameGeometrySource()
                .mode(models.FrameGeometrySourceMode.COORDS)
                .latitude("lat")
                .longitude("lon")
            )
            .config(
                {
                    "showLegend": False,
                    "style": {
                        "color": {"field": value, "fixed": NEUTRAL},
                        "opacity": 0.9,
                        "size": {"fixed": 8, "min": 4, "max": 16},
                        "symbol": {"mode": "fixed", "fixed": "img/icons/marker/circle.svg"},
                    },
                }
            )
        )
        panel = (
            geomap.Panel()
            .datasource(DATASOURCE)
            .with_target(Sql(sql))
            .view(
                geomap.MapViewConfig()
                .id("fit")
                .all_layers(True)
                .padding(12)
                .zoom(_NEAREST)
                .max_zoom(_NEAREST)
            )
            .controls(geomap.ControlsOptions().show_zoom(True).mouse_wheel_zoom(False).show_attribution(True))
            .basemap(common.MapLayerOptions().type("default").name("basemap"))
            .layers([markers])
            .tooltip(geomap.TooltipOptions().mode(geomaps.TooltipMode.DETAILS))
            .color_scheme(_by_threshold())
            .thresholds(thresholds)
            .no_value("")
        )
        if states is not None:
            panel = panel.override_by_name(
                value, [_value("mappings", [states.mapping(self.words).to_json()])]
            )
        return self._named(panel, name)

    def _named(self, panel: P, name: str) -> P:
        return panel.title(self.words(name)).description(self.words.about(name))


def _value(id_val: str, value: object) -> dashboards.DynamicConfigValue:
    return dashboards.DynamicConfigValue(id_val=id_val, value=value)


def _palette() -> dashboard.FieldColor:
    return dashboard.FieldColor().mode(dashboards.FieldColorModeId.PALETTE_CLASSIC)


def _by_threshold() -> dashboard.FieldColor:
    return dashboard.FieldColor().mode(dashboards.FieldColorModeId.THRESHOLDS)


def _by_word() -> dashboard.FieldColor:
    """Colours of the value mappings. By threshold, a state timeline and its legend show `2+` for the word of 2."""
    return dashboard.FieldColor().mode(dashboards.FieldColorModeId.FIXED).fixed_color(UNKNOWN)


def _legend() -> common.VizLegendOptions:
    return (
        common.VizLegendOptions()
        .display_mode(models.LegendDisplayMode.LIST)
        .placement(models.LegendPlacement.BOTTOM)
        .show_legend(True)
    )


def _tooltip() -> common.VizTooltipOptions:
    return common.VizTooltipOptions().mode(models.TooltipDisplayMode.MULTI).sort(models.SortOrder.DESCENDING)
