"""Folders on the server: made where they are missing; a title that somebody gave them stays."""

from functools import partial

from qytet_dashboards.alerts import FOLDER as ALERTS
from qytet_dashboards.grafana.errors import ConflictError, plain
from qytet_dashboards.grafana.findings import Finding
from qytet_dashboards.grafana.server import Server

__all__ = ["examine", "located"]


def examine(server: Server, folders: dict[str, str]) -> list[Finding]:
    """A finding for each wanted folder (uid: title). Raises GrafanaError."""
    return [_one(server, uid, title) for uid, title in folders.items()]


def located(server: Server, folders: dict[str, str]) -> dict[str, str]:
    """The folders (uid: title) with the uid that the folder of alert rules has on the server.

    Where Grafana read rules from files it has made their folder by its title, with a uid of chance: a second folder of
    that title would catch the rules at the next start. Raises GrafanaError.
    """
    if ALERTS not in folders or server.find(
        f"read the folder {ALERTS}", server.api.folder.get_folder, ALERTS
    ):
        return folders
    there = server.call("list the folders", server.api.folder.get_all_folders, kind=list)
    named = [str(one["uid"]) for one in there if plain(str(one.get("title", ""))) == folders[ALERTS]]
    if len(named) != 1:
        return folders
    return {named[0] if uid == ALERTS else uid: title for uid, title in folders.items()}


def _one(server: Server, uid: str, title: str) -> Finding:
    have = server.find(f"read the folder {uid}", server.api.folder.get_folder, uid)
    if have is None:
        return Finding("folder", uid, title, "create", write=partial(_create, server, uid, title))
    there = plain(str(have.get("title", "")))
    note = "" if there == title else f"titled {there!r} on the server, {title!r} in the files; left so"
    return Finding("folder", uid, title, "same", note=note)


def _create(server: Server, uid: str, title: str) -> None:
    """Make a folder; well, too, if somebody else has just made it. Raises GrafanaError."""
    try:
        server.call(f"create the folder {uid}", server.api.folder.create_folder, title, uid)
    except ConflictError:
        if server.find(f"read the folder {uid}", server.api.folder.get_folder, uid) is None:
            raise
