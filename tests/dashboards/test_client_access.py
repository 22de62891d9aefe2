"""Teams and folder permissions: a city sees its own folder and the shared one."""

import json

from qytet.errors import InputError
from tests.dashboards import client_fixtures
from tests.dashboards.client_fixtures import Kit
from tests.dashboards.fake_grafana import Answer, Request, said

grafana, kit = client_fixtures.grafana, client_fixtures.kit

_EDITOR = {"role": "Editor", "permission": 2}
_VIEWER = {"role": "Viewer", "permission": 1}


def test_each_city_gets_its_team(kit: Kit) -> None:
    """Each city has a team that views its folder; other viewers do not see it, editors edit as before."""
    assert kit.run("permissions").code == 0
    teams = {name: number for number, name in kit.grafana.teams.items()}
    assert set(teams) == {"Qytet Tiranë", "Qytet Korçë"}
    for uid, name in (("tirana", "Qytet Tiranë"), ("korce", "Qytet Korçë")):
        assert kit.grafana.permissions[uid] == [_EDITOR, {"teamId": teams[name], "permission": 1}]
    shared = [{"teamId": number, "permission": 1} for number in teams.values()]
    assert kit.grafana.permissions["qytet"] == [_VIEWER, _EDITOR, *shared]


def test_folder_of_alerts_is_shared(kit: Kit) -> None:
    """The folder of alert rules is no city's: it gets no team of its own, and every city's team sees it."""
    titles = {"qytet": "Qytet", "qytet-alerts": "Alarmet", "tirana": "Tiranë"}
    (kit.root / "folders.json").write_text(json.dumps(titles))
    assert kit.run("permissions").code == 0
    assert kit.grafana.teams == {1: "Qytet Tiranë"}
    assert kit.grafana.permissions["qytet-alerts"] == [_VIEWER, _EDITOR, {"teamId": 1, "permission": 1}]


def test_folder_of_alerts_that_files_have_made_is_known_by_its_title(kit: Kit) -> None:
    """Rules read from files lie in a folder with a uid of chance: it is shared, and no second one is made."""
    titles = {"qytet": "Qytet", "qytet-alerts": "Alarmet", "tirana": "Tiranë"}
    (kit.root / "folders.json").write_text(json.dumps(titles))
    kit.grafana.folders["bf2x"] = {"uid": "bf2x", "title": "Alarmet", "version": 1}
    kit.grafana.permissions["bf2x"] = [_VIEWER, _EDITOR]
    assert kit.run("permissions").code == 0
    assert set(kit.grafana.folders) == {"bf2x", "qytet", "tirana"}
    assert kit.grafana.teams == {1: "Qytet Tiranë"}
    assert kit.grafana.permissions["bf2x"] == [_VIEWER, _EDITOR, {"teamId": 1, "permission": 1}]
    assert set(kit.states("permissions").values()) == {"unchanged"}


def test_second_time_writes_nothing(kit: Kit) -> None:
    """What is as it should be is not written again."""
    kit.run("permissions")
    kit.grafana.requests.clear()
    assert set(kit.states("permissions").values()) == {"unchanged"}
    assert kit.grafana.writes == []


def test_dry_run(kit: Kit) -> None:
    """--dry-run names folders, teams and permissions to come, and writes none."""
    states = kit.states("permissions", "--dry-run")
    assert states["team Qytet Tiranë"] == "would write"
    assert states["permissions tirana"] == "would write"
    assert kit.grafana.writes == []


def test_grants_by_hand_stay(kit: Kit) -> None:
    """A person's or another team's permission, and a team's higher one, survive; inherited ones are not copied."""
    kit.run("permissions")
    mine = {"userId": 5, "permission": 4}
    team = next(item for item in kit.grafana.permissions["tirana"] if "teamId" in item)
    kit.grafana.permissions["tirana"] = [
        _VIEWER,
        {**team, "permission": 2},
        mine,
        {"teamId": 99, "permission": 1},
        {"userId": 6, "permission": 1, "inherited": True},
        {"role": "Admin", "permission": 4},
    ]
    assert kit.run("permissions").code == 0
    now = kit.grafana.permissions["tirana"]
    assert now == [{**team, "permission": 2}, mine, {"teamId": 99, "permission": 1}, _EDITOR]


def test_only_what_changed_is_written(kit: Kit) -> None:
    """One folder whose permissions were changed is one request."""
    kit.run("permissions")
    kit.grafana.permissions["korce"].append(_VIEWER)
    kit.grafana.requests.clear()
    kit.run("permissions")
    assert [request.path for request in kit.grafana.writes] == ["/api/folders/korce/permissions"]


def test_team_of_another_name(kit: Kit) -> None:
    """An existing team serves a city when it is named, found on whatever page it is; a wrong folder is refused."""
    kit.grafana.teams = {1: "A", 2: "B", 3: "Bashkia"}
    assert kit.run("permissions", "--team", "tirana=Bashkia").code == 0
    assert {"teamId": 3, "permission": 1} in kit.grafana.permissions["tirana"]
    for wrong in ("tirana", "tirana=", "nowhere=X", "qytet=X"):
        assert isinstance(kit.run("permissions", "--team", wrong).error, InputError)


def test_team_made_meanwhile(kit: Kit) -> None:
    """409 for a team that somebody has just made: that team is taken."""

    def meanwhile(request: Request) -> None:
        if request.method == "POST" and request.path == "/api/teams":
            kit.grafana.teams.setdefault(len(kit.grafana.teams) + 1, request.body["name"])

    kit.grafana.fault = meanwhile
    assert kit.run("permissions").code == 0
    assert sorted(kit.grafana.teams.values()) == ["Qytet Korçë", "Qytet Tiranë"]


def test_team_that_could_not_be_made_grants_nothing(kit: Kit) -> None:
    """Without a city's team its folder still loses other viewers' sight, and the failure is told."""

    def refuse(request: Request) -> Answer | None:
        forbidden = request.method == "POST" and request.path == "/api/teams"
        return said(403, "You'll need additional permissions") if forbidden else None

    kit.grafana.fault = refuse
    outcome = kit.run("permissions")
    assert outcome.code == 1
    assert "Admin" in outcome.out
    assert kit.grafana.permissions["tirana"] == [_EDITOR]
