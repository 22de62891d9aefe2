"""Looks at everything that the files hold, on the server, and at what the server holds besides."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

from qytet_dashboards.grafana import alerts, contacts, dashboards, folders
from qytet_dashboards.grafana.alert_files import Alerting
from qytet_dashboards.grafana.errors import ForbiddenError, plain
from qytet_dashboards.grafana.files import Files
from qytet_dashboards.grafana.findings import Finding
from qytet_dashboards.grafana.server import Server

__all__ = ["Scope", "Thunk", "boards", "everything", "no_datasource", "strangers"]

DATASOURCE = "qytet"  # uid that every panel and rule names
Thunk = tuple[str, Callable[[], list[Finding]]]  # what is looked at, and the look

_PAGE = 500  # of a search's results


@dataclass(frozen=True)
class Scope:
    """What a push or a diff covers besides folders and dashboards."""

    alerts: bool = True
    contact_points: bool = False
    policies: bool = False
    editable: bool = False


def everything(server: Server, files: Files, alerting: Alerting, scope: Scope) -> Iterator[Thunk]:
    """The looks to take, in the order in which things must be written: what is referred to comes first."""
    yield "folders", partial(folders.examine, server, files.folders)
    yield from boards(server, files)
    if scope.contact_points:
        yield "templates", partial(contacts.examine_templates, server, alerting, editable=scope.editable)
        yield "contact points", partial(contacts.examine_points, server, alerting, editable=scope.editable)
    if scope.policies:
        yield "policies", partial(contacts.examine_policies, server, alerting, editable=scope.editable)
    if scope.alerts:
        for group in alerting.groups:
            look = partial(alerts.examine, server, group, editable=scope.editable)
            yield alerts.named(group), partial(_listed, look)


def boards(server: Server, files: Files) -> Iterator[Thunk]:
    """A look at each dashboard."""
    for board in files.boards:
        yield board.uid, partial(_listed, partial(dashboards.examine, server, board))


def _listed(look: Callable[[], Finding]) -> list[Finding]:
    return [look()]


def strangers(server: Server, files: Files) -> list[dict[str, Any]]:
    """Dashboards with our tag that no file holds: a copy by "Save as", or one that we no longer make."""
    ours = {board.uid for board in files.boards}
    found: list[dict[str, Any]] = []
    page = 1
    while True:
        hits = server.get(
            "search dashboards", "/search", list, type="dash-db", tag="qytet", limit=_PAGE, page=page
        )
        found += [hit for hit in hits if isinstance(hit, dict) and hit.get("uid") not in ours]
        if len(hits) < _PAGE:
            break
        page += 1
    return [{key: plain(str(hit.get(name, ""))) for key, name in _STRANGER.items()} for hit in found]


_STRANGER = {"uid": "uid", "title": "title", "folder": "folderUid"}


def no_datasource(server: Server) -> bool:
    """Whether the data source that all panels name is missing; False if the token may not know."""
    try:
        path = f"/datasources/uid/{DATASOURCE}"
        return server.find(f"read the data source {DATASOURCE}", server.api.client.GET, path) is None
    except ForbiddenError:
        return False
