"""Every panel, variable and annotation of the generated boards over the three cities; each tier takes these up."""

from collections.abc import Mapping

import pytest

from tests.dashboards import needs
from tests.dashboards.asking import Asker, unknown_names, variable_sql
from tests.dashboards.boards import DATASOURCE, Board, Json, Panel, boards
from tests.dashboards.grafana.expand import Context, expand
from tests.dashboards.grafana.frames import TEXT, TIME, as_format
from tests.dashboards.grafana.variables import Value, Variable

MAY_BE_EMPTY: Mapping[str, str] = {}
"""Panels that show nothing over the three cities, by board (without its language) and number, each with its reason."""
CHOICES: Mapping[str, dict[str, Value]] = {
    "all": {},
    "one city": {"city": ["tirana"]},
    "several cities": {"city": ["tirana", "korce"]},
    "one device": {"city": ["tirana"], "device": ["first"]},
}
_BOARDS = [board for board in boards() if board.panels]
_PANELS = [(board, panel) for board in _BOARDS for panel in board.panels if panel.type not in needs.QUIET]
_VARIABLES = [(board, one) for board in _BOARDS for one in board.variables if one["type"] == "query"]
_ANNOTATIONS = [(board, one) for board in _BOARDS for one in board.annotations]

each_panel = pytest.mark.parametrize(("board", "panel"), _PANELS, ids=[panel.name for _, panel in _PANELS])


@each_panel
def test_a_panel_shows_something_right(asker: Asker, board: Board, panel: Panel) -> None:
    """With All chosen and over the range in which its board opens, a panel has the rows, columns and types it needs."""
    context = asker.context(board, asker.filled(board), panel)
    found = needs.problems(panel, asker.frames(panel, context))
    if _bare(board.uid, panel) in MAY_BE_EMPTY and found == ["no rows"]:
        return
    assert found == [], _sql(panel, context)


@each_panel
@pytest.mark.parametrize("choice", [name for name in CHOICES if name != "all"])
def test_a_panel_follows_what_is_chosen(asker: Asker, board: Board, panel: Panel, choice: str) -> None:
    """One city, several and one device give the same columns as All, or nothing."""
    context = asker.context(board, _chosen(asker, board, CHOICES[choice]), panel)
    found = [
        problem for problem in needs.problems(panel, asker.frames(panel, context)) if not _is_nothing(problem)
    ]
    assert found == [], _sql(panel, context)


@pytest.mark.parametrize(("board", "model"), _VARIABLES, ids=[f"{b.uid}/{v['name']}" for b, v in _VARIABLES])
def test_a_variable_offers_something(asker: Asker, board: Board, model: Json) -> None:
    """A query variable offers texts that are not empty, whatever is chosen above it; All is a custom value."""
    assert not unknown_names(variable_sql(model), board)
    if model.get("includeAll"):
        assert model.get("allValue") == "'*'"
        assert model.get("multi")
    for choices in CHOICES.values():
        above = [one for one in _chosen(asker, board, choices) if one.name != model["name"]]
        texts, frame = asker.options(model, asker.context(board, above))
        assert texts, choices
        assert all(one.kind == TEXT for one in frame.fields)
        assert all(value not in (None, "") for one in frame.fields for value in one.values)


@pytest.mark.parametrize(
    ("board", "model"), _ANNOTATIONS, ids=[f"{b.uid}/{a['name']}" for b, a in _ANNOTATIONS]
)
def test_an_annotation_has_times_and_texts(asker: Asker, board: Board, model: Json) -> None:
    """Over the range in which a board opens, its annotations are instants with texts."""
    target = model["target"]
    assert model["datasource"] == DATASOURCE
    assert not unknown_names(target["rawSql"], board)
    context = asker.context(board, asker.filled(board))
    frame = as_format(asker.rows(expand(target["rawSql"], context).sql), "table")
    if not frame.rows:
        assert f"{board.uid.rpartition('-')[0]}/{model['name']}" in MAY_BE_EMPTY
        return
    time, text = frame.named("time"), frame.named("text")
    assert time
    assert time.kind == TIME
    assert None not in time.values
    assert text
    assert text.kind == TEXT
    assert (tags := frame.named("tags")) is None or tags.kind == TEXT


def _chosen(asker: Asker, board: Board, choices: dict[str, Value]) -> list[Variable]:
    """The choices; `first` is the first device that the board offers then."""
    if "device" in choices:
        without = {name: value for name, value in choices.items() if name != "device"}
        offered = [one.options for one in asker.filled(board, without) if one.name == "device"]
        choices = {**without, "device": list(offered[0][:1])} if offered and offered[0] else without
    return asker.filled(board, choices)


def _is_nothing(problem: str) -> bool:
    """No rows, nothing but null, and names of series that are not there: well for a part of the cities."""
    return problem == "no rows" or "nothing but null" in problem or problem.startswith("an override")


def _bare(uid: str, panel: Panel) -> str:
    return f"{uid.rpartition('-')[0]}/{panel.json['id']}"


def _sql(panel: Panel, context: Context) -> str:
    return "\n\n".join(expand(target["rawSql"], context).sql for target in panel.targets)
