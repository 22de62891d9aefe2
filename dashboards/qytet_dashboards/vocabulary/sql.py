"""How a query of ours becomes a target of Grafana's PostgreSQL datasource.

A query is constant text with named parameters; what stands for each is written once, here::

    :cities :sites :devices :channels   the dashboard's variables as text[]; All is the array of `*`
    :since :till                        the time range, timestamptz
    :resolution                         the dashboard's variable: auto, raw, 15min, hour, day
"""

import re
from typing import Any, Literal

from grafana_foundation_sdk.cog import builder as cogbuilder
from grafana_foundation_sdk.cog import variants as cogvariants
from grafana_foundation_sdk.models.dashboard import DataSourceRef

__all__ = ["DATASOURCE", "Sql", "everything", "grafana_sql"]

DATASOURCE = DataSourceRef(type_val="grafana-postgresql-datasource", uid="qytet")

_PARAMETERS = {
    "cities": "array[${city:sqlstring}]::text[]",
    "sites": "array[${site:sqlstring}]::text[]",
    "devices": "array[${device:sqlstring}]::text[]",
    "channels": "array[${channel:sqlstring}]::text[]",
    "since": "$__timeFrom()::timestamptz",
    "till": "$__timeTo()::timestamptz",
    "resolution": "'$resolution'",
}
_EVERYTHING = dict.fromkeys(("cities", "sites", "devices", "channels"), "array['*']::text[]")
_NAME = re.compile(r"(?<![:\w]):([a-z]+)\b")

Format = Literal["time_series", "table"]


def grafana_sql(text: str) -> str:
    """The text with Grafana's variables and macros in place of the parameters. Raises KeyError for another name."""
    return _NAME.sub(lambda match: _PARAMETERS[match.group(1)], _dedented(text))


def everything(text: str) -> str:
    """The text for an alert rule, which knows no variables: all cities, sites, devices, channels."""
    return _NAME.sub(lambda match: (_PARAMETERS | _EVERYTHING)[match.group(1)], _dedented(text))


def _dedented(text: str) -> str:
    """One line a line of SQL, without the indentation of the source it stood in."""
    return "\n".join(line.strip() for line in text.strip().splitlines())


class _Target(cogvariants.Dataquery):
    """What the datasource reads of a target; the SDK has no model of SQL queries."""

    def __init__(self, model: dict[str, Any]) -> None:
        self.model = model

    def to_json(self) -> dict[str, object]:
        return self.model


class Sql(cogbuilder.Builder[cogvariants.Dataquery]):
    """A target: SQL with our parameters, as a table or as time series (then with a column `time`, ascending)."""

    def __init__(self, text: str, format: Format = "table", ref: str = "A", *, alert: bool = False) -> None:  # noqa: A002
        self._model: dict[str, Any] = {
            "refId": ref,
            "datasource": DATASOURCE.to_json(),
            "format": format,
            "rawSql": everything(text) if alert else grafana_sql(text),
            "rawQuery": True,
            "editorMode": "code",
        }

    def build(self) -> cogvariants.Dataquery:
        """The target as the SDK wants it."""
        return _Target(self._model)
