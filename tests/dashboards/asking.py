"""Asks a database what a board's panel, variable or rule asks, with the rights and in the words of Grafana."""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

import psycopg

from tests.dashboards.boards import Board, Json, Panel
from tests.dashboards.grafana.display import transformed
from tests.dashboards.grafana.expand import Context, expand
from tests.dashboards.grafana.frames import Frame, as_format, column
from tests.dashboards.grafana.macros import TimeRange
from tests.dashboards.grafana.span import span
from tests.dashboards.grafana.variables import Value, Variable, references

_POINTS = {24: 1300, 12: 640, 8: 420, 6: 310}
"""Points across of a panel so many columns wide, on a screen of 1366."""


@dataclass
class Asker:
    """One tier's database; what was asked once is not asked again, as boards differ in language only."""

    connection: psycopg.Connection[Any]
    now: datetime
    answers: dict[str, Frame] = field(default_factory=dict, repr=False)
    shaped: dict[tuple[str, str], Frame] = field(default_factory=dict, repr=False)

    def rows(self, sql: str) -> Frame:
        """The frame of a query before any format, run as the role of the dashboards and read only.

        Raises:
            psycopg.Error: the database refuses it.
        """
        if sql not in self.answers:
            with self.connection.transaction(force_rollback=True):
                self.connection.execute("set transaction read only")
                self.connection.execute("set local role qytet_dashboards")
                cursor = self.connection.execute(sql.encode())
                names = [(one.name, one.type_code) for one in cursor.description or []]
                columns = list(zip(*cursor.fetchall(), strict=True)) or [()] * len(names)
            self.answers[sql] = Frame(
                tuple(column(*name, values) for name, values in zip(names, columns, strict=True))
            )
        return self.answers[sql]

    def frame(self, sql: str, form: str) -> Frame:
        """The frame of a query in a format.

        Raises:
            FrameError: Grafana would show an error.
            psycopg.Error: the database refuses it.
        """
        if (sql, form) not in self.shaped:
            self.shaped[sql, form] = as_format(self.rows(sql), form)
        return self.shaped[sql, form]

    def context(self, board: Board, variables: Iterable[Variable], panel: Panel | None = None) -> Context:
        """A board with these choices, over the range in which it opens."""
        time, width = board.json.get("time") or {"from": "now-6h", "to": "now"}, 24
        since = time["from"]
        if panel is not None:
            since = f"now-{panel.json['timeFrom']}" if panel.json.get("timeFrom") else since
            width = panel.json["gridPos"]["w"]
        least = str((panel.json.get("interval") if panel else None) or "1m")
        points = int((panel.json.get("maxDataPoints") if panel else None) or _POINTS.get(width, width * 53))
        return Context(span(since, time["to"], self.now), tuple(variables), points, least)

    def frames(self, panel: Panel, context: Context) -> list[Frame]:
        """What the visualisation is given: each target's frame, after the panel's transformations."""
        repeated = [one for one in context.variables if one.name == panel.json.get("repeat") and one.options]
        extra = [one.choose(one.options[0]) for one in repeated]
        found = [
            replace(
                self.frame(expand(target["rawSql"], context, extra).sql, str(target.get("format"))),
                ref_id=str(target["refId"]),
            )
            for target in panel.targets
        ]
        return transformed(found, panel.json.get("transformations") or [])

    def options(self, model: Json, context: Context) -> tuple[dict[str, str], Frame]:
        """A query variable's options, value by text, as the SQL datasources read them."""
        frame = self.frame(expand(variable_sql(model), context).sql, "table")
        text, value = frame.named("__text"), frame.named("__value")
        if text and value:
            return dict(zip(map(str, text.values), map(str, value.values), strict=True)), frame
        return {str(one): str(one) for column in frame.fields for one in column.values}, frame

    def filled(self, board: Board, choices: dict[str, Value] | None = None) -> list[Variable]:
        """The board's variables with these choices, each offering what it offers after those above it."""
        known: list[Variable] = []
        for model, variable in zip(board.variables, board.opening(), strict=True):
            if model["type"] == "query":
                texts, _ = self.options(model, self.context(board, known))
                variable = replace(
                    variable,
                    options=tuple(texts.values()),
                    texts={value: text for text, value in texts.items()},
                )
            if choices and variable.name in choices and (variable.multi or model["type"] == "custom"):
                variable = variable.choose(choices[variable.name])
            known.append(variable)
        return known


def variable_sql(model: Json) -> str:
    """The SQL of a query variable, which Grafana keeps as text or in an object."""
    query = model.get("query")
    return str(query.get("rawSql") or query.get("query")) if isinstance(query, dict) else str(query)


def unknown_names(sql: str, board: Board | None) -> set[str]:
    """Names in a query that neither the board nor Grafana knows: they would reach the database as they stand."""
    known = {str(model["name"]) for model in board.variables} if board else set()
    macros = {
        "__timeFilter",
        "__timeFrom",
        "__timeTo",
        "__timeGroup",
        "__timeGroupAlias",
        "__interval",
        "__interval_ms",
    }
    macros |= {
        "__unixEpochFilter",
        "__unixEpochFrom",
        "__unixEpochTo",
        "__from",
        "__to",
        "__time",
        "__timeEpoch",
    }
    return references(sql) - known - macros


def utc_now() -> datetime:
    """The server's clock, which is ours."""
    return datetime.now(UTC)


__all__ = ["Asker", "TimeRange", "unknown_names", "utc_now", "variable_sql"]
