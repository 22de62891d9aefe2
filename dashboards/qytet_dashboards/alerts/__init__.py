"""Alert rules, contact points and notification policies as Grafana's file provisioning wants them."""

from collections.abc import Iterator
from typing import Any

from qytet.messages import text
from qytet_dashboards.alerts import domains, fleet, platform, routing
from qytet_dashboards.alerts.links import panel_number
from qytet_dashboards.alerts.rule import Rule

__all__ = ["FOLDER", "RULES", "RUNBOOKS", "Rule", "alerting_files"]

RULES: tuple[Rule, ...] = (*platform.RULES, *fleet.RULES, *domains.RULES)
"""All rules; a name is never given to another rule, as silences and history hang on it."""

RUNBOOKS = "docs/how-to"
"""Where the pages about alerts are: by default within this repository, as no address of a copy is known here."""

FOLDER = "qytet-alerts"
"""The folder of alert rules in a Grafana that rules are pushed to; one that reads files knows it by its title."""

# How often the rules of a group are asked: readings of the city come by the quarter, devices by the minute.
_INTERVALS = {"platform": "1m", "fleet": "1m"}
_ELSE = "5m"


def alerting_files(language: str, runbooks: str = RUNBOOKS) -> dict[str, dict[str, Any]]:
    """Each file's content by its name; `runbooks` is the address of the folder with the pages about alerts.

    Grafana fills in no variable in a rule's annotations, so the address is written when files are made.
    """
    return {
        "rules.yaml": {"apiVersion": 1, "groups": list(_groups(language, runbooks))},
        "contact-points.yaml": routing.contact_points(),
        "policies.yaml": routing.policies(),
        "templates.yaml": routing.templates(),
    }


def _groups(language: str, runbooks: str) -> Iterator[dict[str, Any]]:
    """One group a domain, in a folder of their own.

    Grafana reads alerts before dashboards and knows folders of alerts by title only: in a folder that dashboards
    want, too, it would make a second one of that name.
    """
    for domain in dict.fromkeys(rule.domain for rule in RULES):
        yield {
            "orgId": 1,
            "name": f"qytet-{domain}",
            "folder": text("alerts.folder", language),
            "interval": _INTERVALS.get(domain, _ELSE),
            "rules": [
                rule.content(language, runbooks, panel_number(*rule.panel, language))
                for rule in RULES
                if rule.domain == domain
            ],
        }
