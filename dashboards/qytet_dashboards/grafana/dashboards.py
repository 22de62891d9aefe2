"""Dashboards on the server: whether each is as we left it, and the one call that writes it.

How a hand edit is known. A push saves the dashboard with a message that carries a digest of folder and content.
Grafana keeps that message in the dashboard's history of versions, shows it there, and writes a new version with
another message whenever anybody saves, moves or restores the dashboard. So: the newest version bears our message,
and nobody has touched the dashboard since our push, even if an update of Grafana has rewritten its JSON meanwhile;
it bears another one, and somebody has. A field or a tag of our own in the JSON would not do: Grafana's editor drops
fields that it does not know, and carries tags along into the edited version.

A write names the version that it replaces and never says `overwrite`: whoever saves between our look and our write
makes Grafana refuse ours (412 version-mismatch).
"""

import re
from functools import partial
from typing import Any

from qytet_dashboards.grafana.content import Change, digest
from qytet_dashboards.grafana.errors import ConflictError, plain
from qytet_dashboards.grafana.files import Board
from qytet_dashboards.grafana.findings import Finding, State
from qytet_dashboards.grafana.panels import PanelDifference, compare
from qytet_dashboards.grafana.server import Server

__all__ = ["examine"]

Json = dict[str, Any]

_MESSAGE = "Pushed by qytet, content {}"
_MARK = re.compile(r"Pushed by qytet, content ([0-9a-f]{32})")


def examine(server: Server, board: Board) -> Finding:
    """What is to be done about one dashboard. Raises GrafanaError."""
    have = server.find(f"read the dashboard {board.uid}", server.api.dashboard.get_dashboard, board.uid)
    if have is None:
        return _finding(server, board, "create", None, (), "")
    mark, author = _newest(server, board.uid, have)
    changed = (*_moved(have, board), *compare(have["dashboard"], board.json))
    state = _state(board, have, mark, bool(changed))
    if state == "same":
        changed = ()
    return _finding(server, board, state, have, changed, _note(state, have, author))


def _state(board: Board, have: Json, mark: str, changed: bool) -> State:
    """The state of a dashboard that is there; `mark` is the digest in the newest version's message, or empty."""
    in_place = have.get("meta", {}).get("folderUid", "") == board.folder
    wanted = digest(board.folder, board.json)
    if not changed or (in_place and mark == wanted):
        return "same"
    if _by_files(have):
        return "provisioned"
    # With the newest content under our mark, only its place can differ: somebody moved it.
    return "update" if mark and mark != wanted else "edited"


def _by_files(have: Json) -> bool:
    meta = have.get("meta", {})
    return bool(meta.get("provisioned") or meta.get("provisionedExternalId"))


def _moved(have: Json, board: Board) -> tuple[PanelDifference, ...]:
    there = have.get("meta", {}).get("folderUid", "")
    if there == board.folder:
        return ()
    return (PanelDifference("dashboard", "changed", (Change("(folder)", there, board.folder),)),)


def _newest(server: Server, uid: str, have: Json) -> tuple[str, str]:
    """The digest in the message of the version that we have before us (or empty), and who saved it."""
    if _by_files(have):
        return "", ""
    path = f"/dashboards/uid/{uid}/versions"
    found = server.get(f"read the versions of {uid}", path, kind=dict | list, limit=1)
    # Since Grafana 11 an object with the list and a token for more; before, the list itself.
    versions = found.get("versions", []) if isinstance(found, dict) else found
    for entry in versions:
        if isinstance(entry, dict) and entry.get("version") == have["dashboard"].get("version"):
            match = _MARK.fullmatch(str(entry.get("message", "")).strip())
            return (match[1] if match else ""), plain(str(entry.get("createdBy", "")))
    return "", ""


def _note(state: State, have: Json, author: str) -> str:
    if state == "provisioned":
        source = plain(str(have.get("meta", {}).get("provisionedExternalId", ""))) or "a file"
        return f"managed by {source} on Grafana's machine; change it there"
    if state != "edited":
        return ""
    when = plain(str(have.get("meta", {}).get("updated", "")))[:19].replace("T", " ")
    who = author or plain(str(have.get("meta", {}).get("updatedBy", ""))) or "somebody"
    return f"saved by {who}" + (f" at {when}" if when else "")


def _finding(
    server: Server,
    board: Board,
    state: State,
    have: Json | None,
    changed: tuple[PanelDifference, ...],
    note: str,
) -> Finding:
    version = have["dashboard"].get("version", 0) if have else 0
    write = partial(_save, server, board, version) if state in {"create", "update", "edited"} else None
    content = have["dashboard"] if have else None
    return Finding("dashboard", board.uid, board.title, state, changed, note, write, content)


def _save(server: Server, board: Board, version: int) -> None:
    """Save a dashboard in place of this version (0: none), in one call. Raises GrafanaError."""
    content = {key: value for key, value in board.json.items() if key != "id"}
    wanted = digest(board.folder, board.json)
    request = {
        "dashboard": {**content, "version": version},
        "folderUid": board.folder,
        "message": _MESSAGE.format(wanted),
        "overwrite": False,
    }
    try:
        server.call(f"save the dashboard {board.uid}", server.api.dashboard.update_dashboard, request)
    except ConflictError:
        # A retried write that had been done, its answer lost, meets its own version: that is no conflict.
        have = server.find(f"read the dashboard {board.uid}", server.api.dashboard.get_dashboard, board.uid)
        if have is None or _newest(server, board.uid, have)[0] != wanted:
            raise
