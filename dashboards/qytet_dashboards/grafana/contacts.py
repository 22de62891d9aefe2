"""Contact points, their templates and the tree of notification policies: the city's own, so written only when told.

Grafana never shows a contact point's secrets ([REDACTED]): that a secret alone has changed cannot be seen. Delete
the contact point in Grafana, then push, to renew it.
"""

from functools import partial
from typing import Any
from urllib.parse import quote

from qytet_dashboards.grafana.alert_files import Alerting, in_seconds
from qytet_dashboards.grafana.content import Change, differences, normalised
from qytet_dashboards.grafana.findings import Finding, State
from qytet_dashboards.grafana.panels import PanelDifference
from qytet_dashboards.grafana.server import Server

__all__ = ["examine_points", "examine_policies", "examine_templates"]

Json = dict[str, Any]

_REDACTED = "[REDACTED]"
_SECRET = "(not shown)"  # noqa: S105 - a word for people
_LOCKED = "managed by a file on Grafana's machine; change it there"


def examine_points(server: Server, alerting: Alerting, *, editable: bool = False) -> list[Finding]:
    """A finding for each contact point of the files. Raises GrafanaError."""
    if not alerting.contact_points:
        return []
    api = server.api.alertingprovisioning
    there = server.call("read the contact points", api.get_contactpoints, kind=list)
    by_uid = {point.get("uid"): point for point in there if isinstance(point, dict)}
    return [_point(server, want, by_uid.get(want["uid"]), editable) for want in alerting.contact_points]


def _point(server: Server, want: Json, have: Json | None, editable: bool) -> Finding:
    api = server.api.alertingprovisioning
    doing, name = f"write the contact point {want['uid']}", str(want["name"])
    if have is None:
        create = partial(server.call, doing, api.create_contactpoint, want, disable_provenance=editable)
        return Finding("contact point", want["uid"], name, "create", write=create)
    changes = tuple(_quiet(differences(*_comparable(have, want))))
    state = _state(have, bool(changes))
    write = partial(
        server.call, doing, api.update_contactpoint, want["uid"], want, disable_provenance=editable
    )
    shown = (PanelDifference(name, "changed", changes),) if changes else ()
    note = _LOCKED if state == "provisioned" else ""
    return Finding(
        "contact point", want["uid"], name, state, shown, note, write if state == "update" else None
    )


def _comparable(have: Json, want: Json) -> tuple[Json, Json]:
    """Both without provenance, and without the settings that Grafana hides."""
    settings = have.get("settings") or {}
    hidden = {key for key, value in settings.items() if value == _REDACTED}
    fields = ("uid", "name", "type", "settings", "disableResolveMessage")
    pair = ({key: each.get(key) for key in fields} for each in (have, want))
    old, new = ({**each, "settings": _shown(each["settings"] or {}, hidden)} for each in pair)
    return normalised(old), normalised(new)


def _shown(settings: Json, hidden: set[str]) -> Json:
    return {key: value for key, value in settings.items() if key not in hidden}


def _quiet(changes: Any) -> list[Change]:
    """Which settings differ, without their values: an address may hold a token."""
    return [
        Change(each.path, _SECRET, _SECRET) if each.path.startswith("settings") else each for each in changes
    ]


def examine_templates(server: Server, alerting: Alerting, *, editable: bool = False) -> list[Finding]:
    """A finding for each template of messages. Raises GrafanaError."""
    return [_template(server, want, editable) for want in alerting.templates]


def _template(server: Server, want: Json, editable: bool) -> Finding:
    api, name = server.api.alertingprovisioning, str(want["name"])
    path, body = quote(name, safe=""), {"template": want["template"]}
    have = server.find(f"read the template {name}", api.get_template, path)
    doing = f"write the template {name}"
    write = partial(
        server.call, doing, api.create_or_update_template, path, body, disable_provenance=editable
    )
    if have is None:
        return Finding("template", name, name, "create", write=write)
    old, new = str(have.get("template", "")).strip(), str(want["template"]).strip()
    state = _state(have, old != new)
    shown = (PanelDifference(name, "changed", (Change("template", old, new),)),) if old != new else ()
    if state == "provisioned":
        return Finding("template", name, name, state, shown, _LOCKED)
    return Finding("template", name, name, state, shown, write=write if state == "update" else None)


def examine_policies(server: Server, alerting: Alerting, *, editable: bool = False) -> list[Finding]:
    """A finding for the tree of policies, if the files hold one. Raises GrafanaError."""
    want = alerting.policies
    if want is None:
        return []
    api = server.api.alertingprovisioning
    have = server.find("read the notification policies", api.get_notification_policy_tree) or {}
    bare = {key: value for key, value in have.items() if key != "provenance"}
    changes = tuple(differences(normalised(in_seconds(bare)), normalised(in_seconds(want))))
    state = _state(have, bool(changes))
    write = partial(
        server.call,
        "write the notification policies",
        api.set_notification_policy_tree,
        want,
        disable_provenance=editable,
    )
    shown = (PanelDifference("tree", "changed", changes),) if changes else ()
    note = _LOCKED if state == "provisioned" else ""
    allowed = write if state in {"update", "edited"} else None
    return [
        Finding("notification policies", "policies", "notification policies", state, shown, note, allowed)
    ]


def _state(have: Json, changed: bool) -> State:
    """Told to write them, a push writes: "edited" would ask a second time."""
    if not changed:
        return "same"
    return "provisioned" if have.get("provenance") == "file" else "update"
