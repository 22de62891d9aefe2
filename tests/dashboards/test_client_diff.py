"""What differs between files and Grafana, panel by panel, and what people edited."""

import json
from pathlib import Path

import pytest

from qytet.errors import InputError
from qytet_dashboards.grafana import files
from tests.dashboards import client_fixtures
from tests.dashboards.client_fixtures import Kit, board, panel

grafana, kit = client_fixtures.grafana, client_fixtures.kit


def test_diff_of_what_was_pushed_is_empty(kit: Kit) -> None:
    """After a push nothing differs: exit code 0 and no finding, in words and as JSON; diff itself writes nothing."""
    kit.run("push")
    kit.grafana.requests.clear()
    outcome = kit.run("diff")
    assert (outcome.code, outcome.out) == (0, "0 of 7 differ\n")
    assert kit.run("diff", "--json").json["different"] is False
    assert kit.grafana.writes == []


def test_diff_against_an_empty_grafana(kit: Kit) -> None:
    """Where nothing is there yet, everything is to be created: exit code 1."""
    outcome = kit.run("diff", "--json")
    assert outcome.code == 1
    assert {finding["state"] for finding in outcome.json["findings"]} == {"create"}


def test_diff_names_panels_and_fields(kit: Kit) -> None:
    """Panels added, removed and changed are told apart, each changed field with both values; nothing else is."""
    kit.run("push")
    changed = panel(1)
    changed["targets"][0]["rawSql"] = "select 111"
    changed["fieldConfig"]["defaults"]["unit"] = "mgm3"
    kit.change("qytet-air-sq", panels=[changed, panel(3)], refresh="1m")
    outcome = kit.run("diff", "--json")
    assert outcome.code == 1
    found = {each["uid"]: each["differences"] for each in outcome.json["findings"] if each["state"] != "same"}
    assert found == {
        "qytet-air-sq": [
            {
                "panel": "dashboard",
                "how": "changed",
                "changes": [{"path": "refresh", "server": "(absent)", "files": "1m"}],
            },
            {
                "panel": "Panel 1 [1]",
                "how": "changed",
                "changes": [
                    {"path": "fieldConfig.defaults.unit", "server": "ugm3", "files": "mgm3"},
                    {"path": "targets[A].rawSql", "server": "select 1", "files": "select 111"},
                ],
            },
            {"panel": "Panel 2 [2]", "how": "removed", "changes": []},
            {"panel": "Panel 3 [3]", "how": "added", "changes": []},
        ]
    }
    text = kit.run("diff").out
    for line in (
        "~ Panel 1 [1]",
        "- select 1",
        "+ select 111",
        "- Panel 2 [2]",
        "+ Panel 3 [3]",
        "1 of 7 differ",
    ):
        assert line in text


def test_diff_sees_panels_of_collapsed_rows(kit: Kit) -> None:
    """A panel inside a collapsed row is compared as any other."""
    row = {"id": 50, "type": "row", "title": "More", "collapsed": True, "panels": [panel(51)]}
    kit.change("qytet-air-sq", panels=[panel(1), row])
    kit.run("push")
    inner = {**panel(51), "title": "Other"}
    kit.change("qytet-air-sq", panels=[panel(1), {**row, "panels": [inner]}])
    found = kit.run("diff", "--json").json["findings"]
    different = [each for finding in found for each in finding["differences"]]
    assert [(each["panel"], [c["path"] for c in each["changes"]]) for each in different] == [
        ("Other [51]", ["title"])
    ]


def test_pull_check_finds_edits(kit: Kit) -> None:
    """What was edited by hand is listed with who and what, exit code 1; what only our files changed is not."""
    kit.run("push")
    assert kit.run("pull-check").code == 0
    kit.grafana.edit("qytet-air-sq", lambda model: model["panels"][1].update(title="By hand"))
    kit.change("qytet-fleet-sq", title="Flota")
    outcome = kit.run("pull-check")
    assert outcome.code == 1
    for words in ("qytet-air-sq", "drita", "By hand", "--write"):
        assert words in outcome.out
    assert "qytet-fleet-sq" not in outcome.out
    assert [each["uid"] for each in kit.run("pull-check", "--json").json["edited"]] == ["qytet-air-sq"]


def test_pull_check_writes_edits_for_review(kit: Kit, tmp_path: Path) -> None:
    """The JSON of an edited dashboard goes to a folder, once, and differs from its file by the edit alone."""
    kit.run("push")
    kit.grafana.edit("qytet-air-sq", lambda model: model.update(refresh="5m"))
    folder = tmp_path / "review" / "today"
    assert kit.run("pull-check", "--write", str(folder)).code == 1
    assert [path.name for path in folder.iterdir()] == ["qytet-air-sq.json"]
    written = json.loads((folder / "qytet-air-sq.json").read_text())
    assert written["refresh"] == "5m"
    assert not {"id", "version"} & written.keys()
    assert kit.run("pull-check", "--write", str(folder)).error is None
    kit.grafana.edit("qytet-air-sq", lambda model: model.update(refresh="9m"))
    again = kit.run("pull-check", "--write", str(folder))
    assert isinstance(again.error, InputError)
    assert json.loads((folder / "qytet-air-sq.json").read_text())["refresh"] == "5m"


def test_taking_an_edit_over_makes_it_ours(kit: Kit) -> None:
    """An edit that the files have taken over is no edit any more, and needs no push."""
    kit.run("push")
    kit.grafana.edit("qytet-air-sq", lambda model: model.update(refresh="5m"))
    kit.change("qytet-air-sq", refresh="5m")
    assert kit.run("pull-check").code == 0
    kit.grafana.requests.clear()
    assert kit.run("push").code == 0
    assert kit.grafana.writes == []


def test_edits_are_not_written_among_generated_files(kit: Kit) -> None:
    """The folder of generated files is refused: the next build would remove what is put there."""
    kit.run("push")
    kit.grafana.edit("qytet-air-sq", lambda model: model.update(refresh="5m"))
    outcome = kit.run("pull-check", "--write", str(files.PROVISIONED / "review"))
    assert isinstance(outcome.error, InputError)
    assert not (files.PROVISIONED / "review").exists()


def test_pull_check_lists_strangers(kit: Kit) -> None:
    """A dashboard with our tag that no file holds (a copy, a leftover) is listed, and is no failure."""
    kit.run("push")
    kit.grafana.store(board("copy-1", "Air, my copy"), "qytet", "", "drita")
    outcome = kit.run("pull-check")
    assert outcome.code == 0
    assert "copy-1" in outcome.out
    assert "Air, my copy" in outcome.out


def _names(path: Path, change: dict[str, object]) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda root: (root / "folders.json").unlink(), "folders.json"),
        (lambda root: (root / "folders.json").write_text("[]"), "no JSON object"),
        (lambda root: (root / "dashboards/qytet/qytet-air-sq.json").write_text("{"), "qytet-air-sq.json"),
        (lambda root: _names(root / "dashboards/qytet/qytet-air-sq.json", {"uid": "x/../y"}), "x/../y"),
        (lambda root: _names(root / "dashboards/qytet/qytet-air-sq.json", {"title": ""}), "title"),
        (lambda root: (root / "dashboards/qytet").rename(root / "dashboards/elsewhere"), "elsewhere"),
        (
            lambda root: (root / "dashboards/tirana/qytet-air-sq.json").write_text(
                (root / "dashboards/qytet/qytet-air-sq.json").read_text()
            ),
            "Two files",
        ),
    ],
)
def test_bad_files_are_named_before_anything_is_asked(kit: Kit, spoil: object, words: str) -> None:
    """Files that cannot be right stop every command with the file's name, before Grafana hears of it."""
    assert callable(spoil)
    spoil(kit.root)
    outcome = kit.run("push")
    assert isinstance(outcome.error, InputError)
    assert words in str(outcome.error)
    assert kit.grafana.requests == []
