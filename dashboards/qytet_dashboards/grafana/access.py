"""Teams and folder permissions: each city's team sees its city's folder and those of all cities.

A city's folder loses the role Viewer (everybody with a login), keeps Editor, and gives its team View. Admins see
everything, always. A shared folder keeps its roles and gives every city's team View, for users whose role is None.
What else somebody granted (a person, another team) stays.
"""

from collections.abc import Collection
from functools import partial
from typing import Any

from qytet_dashboards.grafana.content import Change
from qytet_dashboards.grafana.errors import ConflictError, NotGrafanaError
from qytet_dashboards.grafana.files import SHARED
from qytet_dashboards.grafana.findings import Finding
from qytet_dashboards.grafana.panels import PanelDifference
from qytet_dashboards.grafana.server import Server

__all__ = ["Access"]

Json = dict[str, Any]
Grants = dict[tuple[str, str | int], int]  # ("role", "Editor") or ("teamId", 7) or ("userId", 3): permission

_VIEW, _EDIT = 1, 2  # Grafana's folder permissions; 4 is Admin
_WORDS = {1: "View", 2: "Edit", 4: "Admin"}


class Access:
    """Teams for the cities' folders (uid: title), named `Qytet {title}` or as `names` says (folder's uid: name).

    Folders that are `shared` are no city's.
    """

    def __init__(
        self,
        server: Server,
        folders: dict[str, str],
        names: dict[str, str],
        shared: Collection[str] = SHARED,
    ) -> None:
        self._server = server
        self._folders = folders
        self._shared = shared
        self._names = {
            uid: names.get(uid, f"Qytet {title}") for uid, title in folders.items() if uid not in shared
        }
        self._ids: dict[str, int] = {}

    def teams(self) -> list[Finding]:
        """A finding for each city's team. Raises GrafanaError."""
        there = self._server.call("list the teams", self._server.api.teams.search_teams, kind=list)
        known = {team["name"]: int(team["id"]) for team in there}
        self._ids = {name: known[name] for name in self._names.values() if name in known}
        return [self._team(name) for name in dict.fromkeys(self._names.values())]

    def _team(self, name: str) -> Finding:
        if name in self._ids:
            return Finding("team", name, name, "same")
        return Finding("team", name, name, "create", write=partial(self._create, name))

    def _create(self, name: str) -> None:
        """Make a team; take the one that is there if somebody else has just made it. Raises GrafanaError."""
        api = self._server.api.teams
        doing = f"create the team {name}"
        try:
            made = self._server.call(doing, api.add_team, {"name": name})
        except ConflictError:
            there = self._server.call("list the teams", api.search_teams, kind=list)
            found = [team for team in there if team["name"] == name]
            if not found:
                raise
            made = {"teamId": found[0]["id"]}
        if "teamId" not in made:
            raise NotGrafanaError(f"Grafana gave no id for the team {name}.", do="Run this again.")
        self._ids[name] = int(made["teamId"])

    def folders(self) -> list[Finding]:
        """A finding for each folder's permissions; teams that are still to be made count as such."""
        return [self._folder(uid) for uid in self._folders]

    def _folder(self, uid: str) -> Finding:
        api = self._server.api.folder
        there = self._server.find(
            f"read the permissions of the folder {uid}", api.get_folder_permissions, uid, kind=list
        )
        title = self._folders[uid]
        if there is None:
            write = partial(self._grant, uid, {})
            return Finding(
                "permissions", uid, title, "create", note="the folder is made by a push", write=write
            )
        have = _grants(there)
        missing = [name for name in self._wanted_teams(uid) if name not in self._ids]
        want = self._want(uid, have)
        changes = [
            Change(self._who(key), _WORDS.get(have.get(key, 0), "-"), _WORDS.get(want.get(key, 0), "-"))
            for key in dict.fromkeys([*have, *want])
            if have.get(key) != want.get(key)
        ]
        changes += [Change(f"team {name}", "-", "View") for name in missing]
        if not changes:
            return Finding("permissions", uid, title, "same")
        shown = (PanelDifference(title, "changed", tuple(changes)),)
        return Finding("permissions", uid, title, "update", shown, write=partial(self._grant, uid, have))

    def _wanted_teams(self, uid: str) -> list[str]:
        names = self._names.values() if uid in self._shared else [self._names[uid]]
        return list(dict.fromkeys(names))

    def _want(self, uid: str, have: Grants) -> Grants:
        """The permissions that a folder should have, from those that it has and the teams that are known."""
        want = dict(have)
        if uid not in self._shared:
            want.pop(("role", "Viewer"), None)
        want.setdefault(("role", "Editor"), _EDIT)
        for name in self._wanted_teams(uid):
            if name in self._ids:
                want.setdefault(("teamId", self._ids[name]), _VIEW)
        return want

    def _grant(self, uid: str, have: Grants) -> None:
        """Set a folder's permissions, in one call. Raises GrafanaError."""
        items = [{who: name, "permission": level} for (who, name), level in self._want(uid, have).items()]
        self._server.call(
            f"set the permissions of the folder {uid}",
            self._server.api.folder.update_folder_permissions,
            uid,
            {"items": items},
        )

    def _who(self, key: tuple[str, str | int]) -> str:
        names = {number: name for name, number in self._ids.items()}
        kind, value = key
        if kind == "teamId":
            return f"team {names.get(int(value), value)}"
        return f"{'role' if kind == 'role' else 'user'} {value}"


def _grants(items: list[Json]) -> Grants:
    """The permissions that the folder itself grants; inherited ones are its parent's."""
    found: Grants = {}
    for item in items:
        if item.get("inherited") or not item.get("permission"):
            continue
        if item.get("role"):
            if item["role"] != "Admin":  # admins have everything, and Grafana refuses to be told so
                found["role", str(item["role"])] = int(item["permission"])
        elif item.get("teamId"):
            found["teamId", int(item["teamId"])] = int(item["permission"])
        elif item.get("userId"):
            found["userId", int(item["userId"])] = int(item["permission"])
    return found
