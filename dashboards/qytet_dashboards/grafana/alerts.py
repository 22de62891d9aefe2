"""Alert rules on the server, group by group.

A group is written whole by one PUT. Pushed rules are marked by Grafana itself: provenance `api`, which locks them in
its pages, so that they change by review only. `editable` sends X-Disable-Provenance instead: the rules may then be
edited by hand, and since nothing tells a hand edit from an older push of ours, a group that differs is kept until
we are told to overwrite it. Rules of provenance `file` belong to files on Grafana's machine.
"""

from functools import partial
from typing import Any
from urllib.parse import quote

from qytet_dashboards.grafana.alert_files import Group, in_seconds, seconds
from qytet_dashboards.grafana.content import Change, differences, normalised
from qytet_dashboards.grafana.errors import plain
from qytet_dashboards.grafana.findings import Finding, State
from qytet_dashboards.grafana.panels import PanelDifference
from qytet_dashboards.grafana.server import Server

__all__ = ["examine", "named"]

Json = dict[str, Any]

_SERVERS_OWN = frozenset({"id", "orgID", "updated", "provenance", "version", "guid"})
_DURATIONS = ("for", "keep_firing_for")


def named(group: Group) -> str:
    """How options and messages name a group: folder's uid, slash, name."""
    return f"{group.folder}/{group.name}"


def examine(server: Server, group: Group, *, editable: bool = False) -> Finding:
    """What is to be done about one group. Raises GrafanaError."""
    path = (group.folder, quote(group.name, safe=""))
    api = server.api.alertingprovisioning
    have = server.find(f"read the alert rules {named(group)}", api.get_rule_group, *path)
    write = partial(
        server.call,
        f"write the alert rules {named(group)}",
        api.update_rule_group,
        *path,
        group.json,
        disable_provenance=editable,
    )
    if have is None or not have.get("rules"):
        return Finding("alert rules", named(group), group.name, "create", write=write)
    changed = tuple(_compare(have, group.json))
    state = _state(have, bool(changed), editable)
    note = {
        "provisioned": "managed by a file on Grafana's machine; change it there",
        "edited": "not locked in Grafana: these may be edits by hand",
    }.get(state, "")
    allowed = write if state in {"update", "edited"} else None
    return Finding("alert rules", named(group), group.name, state, changed, note, allowed)


def _state(have: Json, changed: bool, editable: bool) -> State:
    origins = {rule.get("provenance", "") for rule in have["rules"]}
    if "file" in origins:
        return "provisioned" if changed else "same"
    if not changed:
        # Same content, yet not locked: a push locks it, unless it is to stay editable.
        return "same" if editable == (origins == {""}) else "update"
    return "update" if origins == {"api"} else "edited"


def _compare(have: Json, want: Json) -> list[PanelDifference]:
    found: list[PanelDifference] = []
    interval = seconds(have.get("interval", 0)), seconds(want["interval"])
    if interval[0] != interval[1]:
        found.append(PanelDifference("group", "changed", (Change("interval", *interval),)))
    old = {str(rule.get("uid")): rule for rule in have["rules"]}
    new = {str(rule["uid"]): rule for rule in want["rules"]}
    for uid in dict.fromkeys([*old, *new]):
        title = plain(str((new.get(uid) or old[uid]).get("title", uid)))
        if uid not in new:
            found.append(PanelDifference(title, "removed"))
        elif uid not in old:
            found.append(PanelDifference(title, "added"))
        elif changes := tuple(differences(_rule(old[uid]), _rule(new[uid]))):
            found.append(PanelDifference(title, "changed", changes))
    return found


def _rule(rule: Json) -> Json:
    """A rule without what Grafana sets, with durations in seconds."""
    kept = {key: value for key, value in rule.items() if key not in _SERVERS_OWN}
    for key in _DURATIONS:
        kept[key] = seconds(kept.get(key) or 0) or None
    return normalised(in_seconds(kept))
