"""Who is told of an alert, how often, and in which words: contact points, notification policies, templates.

Grafana fills `${NAME}` from its environment when it reads contact points and policies; a variable that is not set
becomes nothing. It does not start at all with a contact point that is empty, nor with a policy that names an unknown
one, so nothing here may depend on a variable being set::

    QYTET_ALERTS_EMAIL     addresses, with ; between them. None: alerts are shown, and nobody is written to
    QYTET_ALERTS_WEBHOOK   address that alerts are posted to
    QYTET_ALERTS_VIA       empty: e-mail; `-webhook`: the webhook instead; `-both`: e-mail and webhook
"""

from typing import Any

from grafana_foundation_sdk.builders import alerting
from grafana_foundation_sdk.models import alerting as models

__all__ = ["contact_points", "policies", "templates"]

_NAME = "qytet"

# The list begins with a separator, of which nothing remains: it is never empty, so Grafana starts, and without an
# address it has no receiver. There is no address that could be wrong.
_EMAIL = {
    "type": "email",
    "settings": {
        "addresses": ";${QYTET_ALERTS_EMAIL}",
        "singleEmail": False,
        "subject": '{{ template "qytet.subject" . }}',
        "message": '{{ template "qytet.message" . }}',
    },
}
# The fragment is never sent, and keeps the address from being empty. Without a variable nobody routes to it.
_WEBHOOK = {
    "type": "webhook",
    "settings": {
        "url": "${QYTET_ALERTS_WEBHOOK}#",
        "httpMethod": "POST",
        "title": '{{ template "qytet.subject" . }}',
        "message": '{{ template "qytet.message" . }}',
    },
}
_POINTS = {"": (_EMAIL,), "-webhook": (_WEBHOOK,), "-both": (_EMAIL, _WEBHOOK)}

# Times by priority: how long to gather what belongs together, before what is added is told, before it is said again.
# High means now; a low one may wait until somebody plans tomorrow's round, and comes as one list a city and rule.
_PACE = {
    "high": (["city", "outage"], "30s", "5m", "2h"),
    "medium": (["city", "outage"], "2m", "15m", "8h"),
    "low": (["city", "alertname"], "10m", "1h", "24h"),
}

# Both languages in one message, as whoever is on duty may read either. No `$`: Grafana would take it for a variable.
_TEMPLATE = """
{{ define "qytet.subject" -}}
{{ if .Alerts.Firing }}[{{ .CommonLabels.severity }}] {{ (index .Alerts.Firing 0).Annotations.summary }}
{{- if gt (len .Alerts.Firing) 1 }} (+{{ len (slice .Alerts.Firing 1) }}){{ end }}
{{- else }}[ok] {{ with .Alerts.Resolved }}{{ (index . 0).Annotations.summary }}{{ end }}{{ end }}
{{- end }}

{{ define "qytet.one" }}
{{ .Annotations.summary }}
{{ .Annotations.description }}

{{ .Annotations.summary_en }}
{{ .Annotations.description_en }}

{{ with .Annotations.runbook_url }}{{ . }}{{ end }}
{{ with .PanelURL }}{{ . }}{{ end }}
{{ with .SilenceURL }}Hesht / Silence: {{ . }}{{ end }}
{{ end }}

{{ define "qytet.message" }}
{{ range .Alerts.Firing }}{{ template "qytet.one" . }}
{{ end }}{{ with .Alerts.Resolved }}Kaloi / Resolved:
{{ range . }}- {{ .Annotations.summary }} / {{ .Annotations.summary_en }}
{{ end }}{{ end }}{{ end }}
"""


def contact_points() -> dict[str, Any]:
    """The file of contact points."""
    return {
        "apiVersion": 1,
        "contactPoints": [
            {
                "orgId": 1,
                "name": f"{_NAME}{suffix}",
                "receivers": [
                    {"uid": f"{_NAME}{suffix or '-email'}-{number}", **receiver}
                    for number, receiver in enumerate(receivers, 1)
                ],
            }
            for suffix, receivers in _POINTS.items()
        ],
    }


def policies() -> dict[str, Any]:
    """The file of notification policies: one tree, by priority."""
    tree = (
        alerting.NotificationPolicy()
        .receiver(f"{_NAME}${{QYTET_ALERTS_VIA}}")
        .group_by(["city", "outage"])
        .group_wait("1m")
        .group_interval("10m")
        .repeat_interval("12h")
        .routes([_route(priority) for priority in _PACE])
    )
    return {"apiVersion": 1, "policies": [{"orgId": 1, **tree.build().to_json()}]}


def _route(priority: str) -> alerting.NotificationPolicy:
    together, wait, added, again = _PACE[priority]
    matcher: models.ObjectMatchers = [["severity", "=", priority]]
    return (
        alerting.NotificationPolicy()
        .object_matchers(matcher)
        .group_by(together)
        .group_wait(wait)
        .group_interval(added)
        .repeat_interval(again)
    )


def templates() -> dict[str, Any]:
    """The file of notification templates."""
    return {"apiVersion": 1, "templates": [{"orgId": 1, "name": _NAME, "template": _TEMPLATE.strip() + "\n"}]}
