"""The generated boards are well formed, before any database is asked."""

import pytest

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
