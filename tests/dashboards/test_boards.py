"""The generated boards are well formed, before any database is asked."""

import json

import pytest

from qytet_dashboards.vocabulary.colours import UNKNOWN
from tests.dashboards import needs
from tests.dashboards.asking import unknown_names
from tests.dashboards.boards import DATASOURCE, Board, Panel, boards
from tests.dashboards.grafana.macros import without_comments

_BOARDS = [board for board in boards() if board.panels]
_PANELS = [(board, panel) for board in _BOARDS for panel in board.panels if panel.type not in needs.QUIET]
each_panel = pytest.mark.parametrize(("board", "panel"), _PANELS, ids=[panel.name for _, panel in _PANELS])


def test_there_are_boards() -> None:
    """An empty folder proves nothing: the boards are there, in two languages each."""
    uids = {board.uid for board in _BOARDS}
    assert {uid.rpartition("-")[0] for uid in uids if uid.endswith("-sq")} == {
        uid.rpartition("-")[0] for uid in uids if uid.endswith("-en")
    }
    assert _PANELS


@each_panel
def test_targets_are_well_formed(board: Board, panel: Panel) -> None:
    """A panel asks our datasource in SQL that every version of Grafana expands alike, with names that it knows."""
    refs = [target["refId"] for target in panel.targets]
    assert refs, "no target"
    assert len(set(refs)) == len(refs)
    assert panel.json.get("datasource") == DATASOURCE
    for target in panel.targets:
        assert target["datasource"] == DATASOURCE
        assert target["format"] in ("time_series", "table")
        assert target["rawSql"].strip()
        assert target.get("rawQuery") is True
        assert target.get("editorMode") == "code"
        assert without_comments(target["rawSql"]) == target["rawSql"], "a comment"
        assert not unknown_names(target["rawSql"], board)


@pytest.mark.parametrize("board", _BOARDS, ids=[board.uid for board in _BOARDS])
def test_panels_of_a_board_have_numbers_of_their_own(board: Board) -> None:
    """Links and alerts name panels by number."""
    numbers = [panel.json["id"] for panel in board.panels]
    assert len(set(numbers)) == len(numbers)


def test_a_map_shows_its_markers_and_not_the_world() -> None:
    """A fitted map says itself how near it goes: by Grafana's default of 1 it would show the whole world."""
    maps = [panel for _, panel in _PANELS if panel.type == "geomap"]
    assert maps
    for panel in maps:
        view = panel.options["view"]
        assert view["id"] == "fit", panel.name
        assert 12 <= view["zoom"] == view["maxZoom"], panel.name


def test_names_below_bars_are_shown() -> None:
    """A bar chart cuts names after so many signs, so that none would be left of them with 0; and not all overlap."""
    charts = [panel for _, panel in _PANELS if panel.type == "barchart"]
    assert charts
    for panel in charts:
        assert panel.options["xTickLabelMaxLength"] > 10, panel.name
        assert panel.options["xTickLabelSpacing"] > 0, panel.name


@pytest.mark.parametrize("board", _BOARDS, ids=[board.uid for board in _BOARDS])
def test_a_unit_has_one_space_before_it(board: Board) -> None:
    """Grafana puts a space before a suffix: one of ours would make two."""
    said = json.dumps(board.json)
    assert '"suffix: ' not in said
    assert '"suffix:"' not in said


@each_panel
def test_what_is_not_known_is_grey(board: Board, panel: Panel) -> None:
    """A coloured column that may be empty is grey there, not in the colour of its lowest threshold."""
    for override in panel.overrides:
        said = {one["id"]: one["value"] for one in override["properties"]}
        if "thresholds" in said and "noValue" in said:
            special = [one for one in said["mappings"] if one["type"] == "special"]
            assert [one["options"]["match"] for one in special] == ["null+nan"], override
            result = special[0]["options"]["result"]
            assert (result["text"], result["color"]) == (said["noValue"], UNKNOWN)


def test_one_alarm_is_red() -> None:
    """A count of alarms is green at none and red from the first one on, whatever Grafana's own thresholds are."""
    counts = [
        panel
        for board in _BOARDS
        for panel in board.panels
        if panel.type == "alertlist" and panel.options["viewMode"] == "stat"
    ]
    assert counts
    for panel in counts:
        steps = panel.options["statThresholds"]["steps"]
        assert [one["value"] for one in steps] == [None, 1], panel.name


def test_bars_begin_at_zero() -> None:
    """A bar is as long as its value: Grafana would begin at the least of them, and show none for it."""
    rankings = [panel for _, panel in _PANELS if panel.type == "bargauge"]
    assert rankings
    assert all(panel.defaults.get("min") == 0 for panel in rankings)
