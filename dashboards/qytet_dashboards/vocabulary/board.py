"""A dashboard as a whole: identity, variables, links, annotations, and where its panels stand."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol, Self, TypeAlias

from grafana_foundation_sdk.builders import dashboard
from grafana_foundation_sdk.cog import builder as cogbuilder
from grafana_foundation_sdk.models import dashboard as models

from qytet_dashboards.vocabulary.sql import DATASOURCE, grafana_sql
from qytet_dashboards.vocabulary.words import Words

__all__ = ["BOARDS_FOLDER", "COLUMNS", "Board", "Panel", "Placed", "place", "uid"]

COLUMNS = 24
BOARDS_FOLDER = "qytet"
_OTHER = {"sq": "en", "en": "sq"}
_EVENTS = """
select "time", text, kind as tags from qytet.event(:cities, array['*']::text[], :since, :till) order by 1
"""


class Panel(Protocol):
    """What the SDK's builders of panels have in common."""

    def id(self, id_val: int, /) -> Self:
        """Its number within the dashboard."""

    def grid_pos(self, grid_pos: models.GridPos, /) -> Self:
        """Where it stands."""

    def title(self, title: str, /) -> Self:
        """Its heading."""

    def description(self, description: str, /) -> Self:
        """What it explains of itself."""

    def build(self) -> models.Panel:
        """The panel in Grafana's model."""


Placed: TypeAlias = tuple[Panel, int, int]
"""A panel, its width in columns of 24, its height in rows of 30 pixels."""
Variable: TypeAlias = cogbuilder.Builder[models.VariableModel]


@dataclass(frozen=True, slots=True)
class Board:
    """What makes a dashboard; `rows` are panels below the fold, each group in a collapsed row with its title."""

    name: str
    words: Words
    variables: Sequence[Variable]
    panels: Sequence[Placed]
    rows: Sequence[tuple[str, Sequence[Placed]]] = ()
    since: str = "now-24h"
    refresh: str = "1m"
    folder: str = BOARDS_FOLDER
    title: str = ""
    about: str = ""
    events: bool = True

    @property
    def uid(self) -> str:
        """Stable identity in every Grafana: by name and language."""
        return uid(self.name, self.words.language)

    def build(self) -> models.Dashboard:
        """The dashboard in Grafana's model."""
        words = self.words
        board = (
            dashboard.Dashboard(self.title or words("title"))
            .uid(self.uid)
            .description(self.about or words("about"))
            .tags(["qytet", words.language])
            .time(self.since, "now")
            .refresh(self.refresh)
            .timezone("Europe/Tirane")
            .week_start("monday")
            .editable()
            .tooltip(models.DashboardCursorSync.CROSSHAIR)
            .links(self._links())
        )
        for variable in self.variables:
            board = board.with_variable(variable)
        if self.events:
            board = board.annotation(_Events(words))
        return self._filled(board).build()

    def _links(self) -> list[cogbuilder.Builder[models.DashboardLink]]:
        words = self.words
        return [
            dashboard.DashboardLink(words("boards.all_boards"))
            .type(models.DashboardLinkType.DASHBOARDS)
            .tags(["qytet", words.language])
            .as_dropdown(True)
            .keep_time(True)
            .include_vars(True),
            dashboard.DashboardLink(words("boards.other_language"))
            .type(models.DashboardLinkType.LINK)
            .url(f"/d/{uid(self.name, _OTHER[words.language])}")
            .icon("external link")
            .keep_time(True)
            .include_vars(True),
        ]

    def _filled(self, board: dashboard.Dashboard) -> dashboard.Dashboard:
        number = 1
        bottom = 0
        for panel, position in place(self.panels):
            board = board.with_panel(_Built(panel.id(number).grid_pos(position)))
            number, bottom = number + 1, max(bottom, position.y + position.h)
        for title, panels in self.rows:
            row = dashboard.Row(title).collapsed(True).id(number)
            row = row.grid_pos(models.GridPos(x=0, y=bottom, w=COLUMNS, h=1))
            number, bottom = number + 1, bottom + 1
            for panel, position in place(panels, bottom):
                row = row.with_panel(_Built(panel.id(number).grid_pos(position)))
                number += 1
            board = board.with_row(row)
        return board


def uid(name: str, language: str) -> str:
    """A dashboard's identity; at most 40 characters, as Grafana wants it."""
    return f"qytet-{name}-{language}"


def place(panels: Iterable[Placed], top: int = 0) -> list[tuple[Panel, models.GridPos]]:
    """Fill lines of 24 columns from left to right; a panel that no longer fits begins the next line.

    Raises ValueError if the panels of a line differ in height, because Grafana would then close the gap.
    """
    placed: list[tuple[Panel, models.GridPos]] = []
    x, y, height = 0, top, 0
    for panel, wide, high in panels:
        if x + wide > COLUMNS:
            x, y, height = 0, y + height, 0
        if x and high != height:
            raise ValueError(f"panels beside each other are {height} and {high} rows high, at line {y}")
        placed.append((panel, models.GridPos(x=x, y=y, w=wide, h=high)))
        x, height = x + wide, high
    return placed


class _Built(cogbuilder.Builder[models.Panel]):
    """A panel as the SDK's dashboard wants it."""

    def __init__(self, panel: Panel) -> None:
        self._panel = panel

    def build(self) -> models.Panel:
        return self._panel.build()


class _EventsTarget(models.AnnotationTarget):
    """A query of events; the SDK models only the targets of Grafana's own annotations."""

    def to_json(self) -> dict[str, object]:
        return {
            "refId": "Anno",
            "format": "table",
            "rawSql": grafana_sql(_EVENTS),
            "rawQuery": True,
            "editorMode": "code",
        }


class _Events(cogbuilder.Builder[models.AnnotationQuery]):
    """What happened (restarts, commands, warnings), drawn over every panel with a time axis."""

    def __init__(self, words: Words) -> None:
        self._words = words

    def build(self) -> models.AnnotationQuery:
        return models.AnnotationQuery(
            name=self._words("boards.events"),
            datasource=DATASOURCE,
            icon_color="#8E8E8E",
            target=_EventsTarget(),
        )
