"""Pushing to a Grafana: once is enough, hand edits stay, and nothing is ever left half done."""

import signal
import threading

import pytest

from tests.dashboards import client_fixtures
from tests.dashboards.client_fixtures import Kit, panel
from tests.dashboards.fake_grafana import Answer, Request, said

grafana, kit = client_fixtures.grafana, client_fixtures.kit

_ALL = {
    "folder qytet",
    "folder tirana",
    "folder korce",
    "dashboard qytet-air-sq",
    "dashboard qytet-fleet-sq",
    "dashboard qytet-city-tirana-sq",
    "alert rules qytet/Fleet & more",
}


def _edit_title(model: dict) -> None:
    model["panels"][0]["title"] = "By hand"


def test_first_push_creates_everything(kit: Kit) -> None:
    """An empty Grafana gets each folder, dashboard and group of rules, in the folder that the files say."""
    assert kit.states("push") == dict.fromkeys(_ALL, "written")
    there = kit.grafana.dashboards
    assert {uid: each["meta"]["folderUid"] for uid, each in there.items()} == {
        "qytet-air-sq": "qytet",
        "qytet-fleet-sq": "qytet",
        "qytet-city-tirana-sq": "tirana",
    }
    assert not any(write.body.get("overwrite") for write in kit.grafana.writes if write.path.endswith("/db"))


def test_second_push_writes_nothing(kit: Kit) -> None:
    """A push of what is there already sends no request that could change anything."""
    assert kit.run("push").code == 0
    kit.grafana.requests.clear()
    assert kit.states("push") == dict.fromkeys(_ALL, "unchanged")
    assert kit.grafana.requests
    assert kit.grafana.writes == []


def test_dry_run_writes_nothing(kit: Kit) -> None:
    """--dry-run says what would be written, and writes none of it."""
    assert kit.states("push", "--dry-run") == dict.fromkeys(_ALL, "would write")
    assert kit.grafana.writes == []


def test_changed_files_update_what_we_left(kit: Kit) -> None:
    """A dashboard that nobody touched since our push follows its file; the others are not written."""
    kit.run("push")
    kit.grafana.requests.clear()
    kit.change("qytet-air-sq", title="Ajri")
    assert kit.states("push")["dashboard qytet-air-sq"] == "written"
    assert [write.body["dashboard"]["uid"] for write in kit.grafana.writes] == ["qytet-air-sq"]
    assert kit.grafana.dashboards["qytet-air-sq"]["dashboard"]["title"] == "Ajri"


@pytest.mark.parametrize("old_form", [False, True])
def test_hand_edit_is_kept(kit: Kit, old_form: bool) -> None:
    """A dashboard edited by hand stays as it is, the push says so and fails, and the others go on."""
    kit.grafana.versions_as_list = old_form
    kit.run("push")
    kit.grafana.edit("qytet-air-sq", _edit_title)
    kit.change("qytet-air-sq", title="Ajri")
    kit.change("qytet-fleet-sq", title="Flota")
    outcome = kit.run("push")
    assert outcome.code == 1
    assert "kept" in outcome.out
    assert "drita" in outcome.out
    assert kit.grafana.dashboards["qytet-air-sq"]["dashboard"]["panels"][0]["title"] == "By hand"
    assert kit.grafana.dashboards["qytet-fleet-sq"]["dashboard"]["title"] == "Flota"


@pytest.mark.parametrize("options", [("--overwrite-edited", "qytet-air-sq"), ("--force",)])
def test_hand_edit_is_overwritten_when_told(kit: Kit, options: tuple[str, ...]) -> None:
    """What was edited is overwritten when it is named or forced, and not one other dashboard with it."""
    kit.run("push")
    kit.grafana.edit("qytet-air-sq", _edit_title)
    kit.grafana.requests.clear()
    assert kit.run("push", *options).code == 0
    assert [write.body["dashboard"]["uid"] for write in kit.grafana.writes] == ["qytet-air-sq"]
    assert kit.grafana.dashboards["qytet-air-sq"]["dashboard"]["panels"][0]["title"] == "Panel 1"


def test_only_the_named_edit_is_overwritten(kit: Kit) -> None:
    """--overwrite-edited touches the dashboard that it names, not another edited one."""
    kit.run("push")
    kit.grafana.edit("qytet-air-sq", _edit_title)
    kit.grafana.edit("qytet-fleet-sq", _edit_title)
    states = kit.states("push", "--overwrite-edited", "qytet-air-sq")
    assert states["dashboard qytet-air-sq"] == "written"
    assert states["dashboard qytet-fleet-sq"] == "kept"


def test_a_slip_in_a_uid_is_refused(kit: Kit) -> None:
    """--overwrite-edited with a uid that no file holds does nothing at all."""
    outcome = kit.run("push", "--overwrite-edited", "qytet-air")
    assert outcome.error is not None
    assert "qytet-air" in outcome.error.what
    assert kit.grafana.requests == []


def test_saving_without_change_is_no_edit(kit: Kit) -> None:
    """The defaults that Grafana's editor writes out are no difference: such a save is not taken for an edit."""
    kit.run("push")
    kit.grafana.edit("qytet-air-sq")
    kit.grafana.requests.clear()
    assert kit.run("push").code == 0
    assert kit.grafana.writes == []


def test_rewriting_by_grafana_is_no_edit(kit: Kit) -> None:
    """An update of Grafana that migrates stored dashboards, without a new version, causes no write and no alarm."""
    kit.run("push")
    kit.grafana.dashboards["qytet-air-sq"]["dashboard"] |= {"schemaVersion": 42, "newField": {"a": 1}}
    kit.grafana.requests.clear()
    assert kit.run("push").code == 0
    assert kit.run("diff").code == 0
    assert kit.grafana.writes == []


def test_restored_version_is_an_edit(kit: Kit) -> None:
    """A dashboard that somebody set back to an older version of ours is kept: the newest version is theirs."""
    kit.run("push")
    kit.change("qytet-air-sq", title="Ajri")
    kit.run("push")
    kit.grafana.edit("qytet-air-sq", lambda model: model.update(title="Qytet-Air-Sq"))
    assert kit.states("push")["dashboard qytet-air-sq"] == "kept"


def test_moved_dashboard_is_an_edit(kit: Kit) -> None:
    """A dashboard that somebody moved to another folder stays there, until we are told otherwise."""
    kit.run("push")
    kit.grafana.edit("qytet-air-sq", folder="korce")
    assert kit.states("push")["dashboard qytet-air-sq"] == "kept"
    assert "(folder)" in kit.run("diff").out
    assert kit.states("push", "--force")["dashboard qytet-air-sq"] == "written"
    assert kit.grafana.dashboards["qytet-air-sq"]["meta"]["folderUid"] == "qytet"


def test_foreign_dashboard_with_our_uid_is_kept(kit: Kit) -> None:
    """A dashboard that was imported by hand, never pushed, is not overwritten."""
    kit.grafana.folders["qytet"] = {"uid": "qytet", "title": "Qytet"}
    kit.grafana.store({"uid": "qytet-air-sq", "title": "Mine", "panels": [panel(9)]}, "qytet", "", "drita")
    assert kit.states("push")["dashboard qytet-air-sq"] == "kept"


def test_provisioned_dashboard_cannot_be_pushed(kit: Kit) -> None:
    """A dashboard that files on Grafana's machine manage is left alone, with the file's name, and not tried."""
    kit.run("push")
    kit.grafana.dashboards["qytet-air-sq"]["meta"] |= {
        "provisioned": True,
        "provisionedExternalId": "air.json",
    }
    kit.change("qytet-air-sq", title="Ajri")
    kit.grafana.requests.clear()
    outcome = kit.run("push", "--force")
    assert outcome.code == 1
    assert "cannot" in outcome.out
    assert "air.json" in outcome.out
    assert kit.grafana.writes == []


def test_save_between_look_and_write_wins(kit: Kit) -> None:
    """Who saves after we looked and before we write keeps the change: Grafana refuses ours, and we say so."""
    kit.run("push")
    kit.change("qytet-air-sq", title="Ajri")
    kit.change("qytet-fleet-sq", title="Flota")

    def meanwhile(request: Request) -> None:
        if request.method == "POST" and request.body["dashboard"]["uid"] == "qytet-air-sq":
            kit.grafana.fault = lambda _: None
            kit.grafana.edit("qytet-air-sq", _edit_title)

    kit.grafana.fault = meanwhile
    outcome = kit.run("push")
    assert outcome.code == 1
    assert "Somebody saved this dashboard in this very moment" in outcome.out
    assert "pull-check" in outcome.out
    assert kit.grafana.dashboards["qytet-air-sq"]["dashboard"]["panels"][0]["title"] == "By hand"
    assert kit.grafana.dashboards["qytet-fleet-sq"]["dashboard"]["title"] == "Flota"


def test_retried_write_that_had_been_done_is_done(kit: Kit) -> None:
    """A proxy's 502 after Grafana had saved is retried, meets its own version, and counts as written."""
    lost: list[str] = []

    def lose(request: Request) -> Answer | None:
        if request.path.endswith("/dashboards/db") and not lost:
            lost.append(request.body["dashboard"]["uid"])
            return Answer(502, raw=b"<html>bad gateway</html>", headers={"Retry-After": "0"})
        return None

    kit.grafana.after = lose
    assert kit.states("push") == dict.fromkeys(_ALL, "written")
    assert [entry["version"] for entry in kit.grafana.dashboards[lost[0]]["versions"]] == [1]


def test_interrupt_leaves_nothing_half(kit: Kit) -> None:
    """Ctrl-C in the middle ends with 130 and a report; what was sent is whole, and the next push does the rest."""
    main = threading.main_thread().ident
    assert main is not None

    def interrupt(request: Request) -> Answer | None:
        if request.path.endswith("/dashboards/db") and len(kit.grafana.dashboards) == 2:
            kit.grafana.after = lambda _: None
            signal.pthread_kill(main, signal.SIGINT)
            return Answer(hang=True)
        return None

    kit.grafana.after = interrupt
    outcome = kit.run("push")
    assert outcome.code == 130
    assert "Interrupted" in outcome.out
    assert len(kit.grafana.dashboards) == 2
    states = kit.states("push")
    assert list(states.values()).count("written") == 2  # the third dashboard and the alert rules
    assert kit.run("diff").code == 0


def test_refused_dashboard_does_not_stop_the_others(kit: Kit) -> None:
    """One dashboard that Grafana refuses is reported with Grafana's words; all others are written."""

    def refuse(request: Request) -> Answer | None:
        if request.method == "POST" and request.body.get("dashboard", {}).get("uid") == "qytet-air-sq":
            return said(400, "Dashboard title cannot be empty", status="empty-name")
        return None

    kit.grafana.fault = refuse
    outcome = kit.run("push")
    assert outcome.code == 1
    assert "Dashboard title cannot be empty" in outcome.out
    assert set(kit.grafana.dashboards) == {"qytet-fleet-sq", "qytet-city-tirana-sq"}


def test_folder_made_meanwhile_is_used(kit: Kit) -> None:
    """409 for a folder that somebody has just made under the same uid is no failure."""

    def meanwhile(request: Request) -> None:
        if request.method == "POST" and request.path == "/api/folders":
            kit.grafana.folders.setdefault(request.body["uid"], {**request.body})

    kit.grafana.fault = meanwhile
    assert kit.run("push").code == 0


def test_folder_with_taken_title_fails_clearly(kit: Kit) -> None:
    """409 for a title that another folder has is an error with Grafana's words."""

    def taken(request: Request) -> Answer | None:
        if request.method == "POST" and request.path == "/api/folders" and request.body["uid"] == "korce":
            return said(409, "a folder with the same name already exists")
        return None

    kit.grafana.fault = taken
    outcome = kit.run("push")
    assert outcome.code == 1
    assert "HTTP 409" in outcome.out
    assert "same name already exists" in outcome.out


def test_folder_renamed_by_hand_stays(kit: Kit) -> None:
    """A folder's title that somebody changed is mentioned, not changed back."""
    kit.run("push")
    kit.grafana.folders["tirana"]["title"] = "Kryeqyteti"
    kit.grafana.requests.clear()
    outcome = kit.run("push")
    assert outcome.code == 0
    assert "Kryeqyteti" in outcome.out
    assert kit.grafana.writes == []


def test_missing_data_source_is_said(kit: Kit) -> None:
    """A Grafana without our data source gets the dashboards, and a line that says why they stay empty."""
    kit.grafana.datasources.clear()
    outcome = kit.run("push")
    assert outcome.code == 0
    assert "No data source has the uid qytet" in outcome.out
