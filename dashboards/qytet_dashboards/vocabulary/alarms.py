"""The panel that lists what Grafana's alert rules say now; the SDK has no builder for it."""

from grafana_foundation_sdk.builders import dashboard

from qytet_dashboards.vocabulary.colours import BAD, OK, steps
from qytet_dashboards.vocabulary.words import Words

__all__ = ["alarms"]

_BY_IMPORTANCE = 3


def alarms(words: Words, name: str, labels: str = "", *, count: bool = False) -> dashboard.Panel:
    """Alarms that fire or are about to, or how many; `labels` narrows them: ``{city="tirana"}``."""
    return (
        dashboard.Panel()
        .type("alertlist")
        .title(words(name))
        .description(words.about(name))
        .options(
            {
                "viewMode": "stat" if count else "list",
                "groupMode": "default",
                "groupBy": [],
                "maxItems": 20,
                "sortOrder": _BY_IMPORTANCE,
                "dashboardAlerts": False,
                "alertName": "",
                "alertInstanceLabelFilter": labels,
                "datasource": "-- Grafana --",
                "stateFilter": {
                    "firing": True,
                    "pending": True,
                    "error": True,
                    "noData": True,
                    "recovering": True,
                    "normal": False,
                },
                # Grafana 11 and 12.2 colour any alarm red by themselves; newer ones would begin at 80 alarms.
                "statThresholds": steps(OK, (1, BAD)).build().to_json(),
            }
        )
    )
