"""One alert rule: what it asks, when it fires, what it says in both languages, and how Grafana's files write it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias
from urllib.parse import quote

from grafana_foundation_sdk.builders import alerting, expr
from grafana_foundation_sdk.models import alerting as models
from grafana_foundation_sdk.models.dashboard import DataSourceRef

from qytet.messages import LANGUAGES, text
from qytet_dashboards.vocabulary.sql import DATASOURCE, Sql

__all__ = ["PAGES", "Rule", "anchor"]

Priority: TypeAlias = Literal["low", "medium", "high"]
WhenUnknown: TypeAlias = Literal["OK", "NoData", "Alerting", "KeepLast"]

PAGES = {"sq": "alarmet.md", "en": "alerts.md"}
"""The page of docs/how-to that explains all alerts, by language."""

LABELS = ("city", "site", "device", "gateway", "meter", "lane", "probe", "tank")
"""The labels that a text may name."""

# Grafana's own template language. A rule that could not be asked has no value.
_VALUE = '{{ with $values.A }}{{ printf "%.PLACESf" .Value }}{{ else }}?{{ end }}'
_EXPRESSION = DataSourceRef(type_val="__expr__", uid="__expr__")


@dataclass(frozen=True, slots=True)
class Rule:
    """A query that gives one number a subject, its other columns being labels, and the number above which it fires.

    Texts are those of the section `alerts`: `NAME` is the title, `NAME_summary` what happened, `NAME_about` what it
    means and what to do first. They may name `LABELS` and `{value}`, in the query's unit.
    """

    name: str
    domain: str
    priority: Priority
    sql: str
    lasting: str
    """Grafana's duration for which it must hold before anybody is told."""
    panel: tuple[str, str]
    """The board and the key of the panel that shows it."""
    above: float = 0.0
    places: int = 0
    labels: Mapping[str, str] = field(default_factory=dict)
    """Labels that every subject has; `city` and `outage` are here or columns of the query."""
    no_data: WhenUnknown = "OK"
    error: WhenUnknown = "KeepLast"

    @property
    def uid(self) -> str:
        """Stable identity; at most 40 characters, as Grafana wants it."""
        return f"qytet-{self.name.replace('_', '-')}"

    def title(self, language: str) -> str:
        """Its name in one language: a heading of the page that explains it."""
        return text(f"alerts.{self.name}", language)

    def runbook(self, language: str, runbooks: str) -> str:
        """Where the page explains it; `runbooks` is the address of the folder."""
        return f"{runbooks.rstrip('/')}/{PAGES[language]}#{quote(anchor(self.title(language)))}"

    def said(self, part: str, language: str) -> str:
        """The text `NAME_PART` with Grafana's own template where it names a label or the value."""
        words = {name: f"{{{{ $labels.{name} }}}}" for name in LABELS}
        words["value"] = _VALUE.replace("PLACES", str(self.places))
        return text(f"alerts.{self.name}_{part}", language, **words)

    def content(self, language: str, runbooks: str, panel: int) -> dict[str, Any]:
        """The rule as Grafana's file provisioning reads it; `panel` is the number of its panel on its board."""
        board = f"qytet-{self.panel[0]}-{language}"
        return {
            "uid": self.uid,
            "title": " · ".join(self.title(each) for each in LANGUAGES),
            "condition": "B",
            "data": [self._query(), self._threshold()],
            "dashboardUid": board,
            "panelId": panel,
            "noDataState": self.no_data,
            "execErrState": self.error,
            "for": self.lasting,
            "annotations": {
                "summary": self.said("summary", "sq"),
                "summary_en": self.said("summary", "en"),
                "description": self.said("about", "sq"),
                "description_en": self.said("about", "en"),
                "runbook_url": self.runbook(language, runbooks),
                "__dashboardUid__": board,
                "__panelId__": str(panel),
            },
            "labels": {"severity": self.priority, "domain": self.domain, **self.labels},
            "isPaused": False,
        }

    def _query(self) -> models.Query:
        """`A`: a table whose only number is the value, everything else being labels."""
        return (
            alerting.Query("A")
            .datasource_uid(str(DATASOURCE.uid))
            .relative_time_range(models.RelativeTimeRange(600, 0))
            .model(Sql(self.sql, alert=True))
            .build()
        )

    def _threshold(self) -> models.Query:
        """`B`: which of the values are too high."""
        above = expr.ExprTypeThresholdConditionsEvaluator().type("gt").params([self.above])
        compared = (
            expr.TypeThreshold()
            .ref_id("B")
            .datasource(_EXPRESSION)
            .expression("A")
            .conditions([expr.ExprTypeThresholdConditions().evaluator(above)])
        )
        return (
            alerting.Query("B")
            .datasource_uid("__expr__")
            .relative_time_range(models.RelativeTimeRange(0, 0))
            .model(compared)
            .build()
        )


def anchor(title: str) -> str:
    """The anchor that a heading gets: lower case, no punctuation, hyphens for spaces."""
    kept = "".join(sign for sign in title.lower() if sign.isalnum() or sign in "_- ")
    return kept.replace(" ", "-")
