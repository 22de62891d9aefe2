"""Every panel, variable and annotation of the generated boards over the three cities; each tier takes these up."""

from collections.abc import Mapping

import psycopg
import pytest

from tests.dashboards import needs
from tests.dashboards.asking import Asker, unknown_names, variable_sql
from tests.dashboards.boards import DATASOURCE, Board, Json, Panel, boards, twins
from tests.dashboards.grafana.expand import expand
from tests.dashboards.grafana.frames import TEXT, TIME, as_format
from tests.dashboards.grafana.variables import Value, Variable

MAY_BE_EMPTY: Mapping[str, str] = {}
"""Panels that show nothing over the three cities, by board and number, each with its reason."""
CHOICES: Mapping[str, dict[str, Value]] = {
    "one city in hours": {"city": ["tirana"], "resolution": "hour"},
    "several cities": {"city": ["tirana", "korce"]},
    "one device": {"city": ["tirana"], "device": ["first"]},
}
_BOARDS = [board for board in boards() if board.panels]
_PANELS = [(name, [one for one in both if one[1].type not in needs.QUIET]) for name, both in twins()]
_VARIABLES = [(board, one) for board in _BOARDS for one in board.variables if one["type"] == "query"]
_ANNOTATIONS = [(board, one) for board in _BOARDS for one in board.annotations]

each_panel = pytest.mark.parametrize(
    ("name", "both"), [one for one in _PANELS if one[1]], ids=[name for name, both in _PANELS if both]
)
Both = list[tuple[Board, Panel]]


@each_panel
def test_a_panel_shows_something_right(asker: Asker, name: str, both: Both) -> None:
    """With All chosen and over the range in which its board opens, a panel has the rows, columns and types it needs."""
    for board, panel in both:
        found = _problems(asker, board, panel, {})
        assert found == (["no rows"] if name in MAY_BE_EMPTY else []), (
            f"{panel.name}: {found}\n{_sql(asker, board, panel)}"
        )


@each_panel
def test_a_panel_follows_what_is_chosen(asker: Asker, name: str, both: Both) -> None:
    """One city, several, one device and hours instead of what fits give the same columns as All, or nothing."""
    board, panel = both[0]
    assert all(other.targets == panel.targets for _, other in both), (
        f"{name} asks differently in another language"
    )
    for choice, choices in CHOICES.items():
        found = [one for one in _problems(asker, board, panel, choices) if not _is_nothing(one)]
        assert found == [], f"{panel.name}, {choice}: {found}\n{_sql(asker, board, panel)}"


@pytest.mark.parametrize(("board", "model"), _VARIABLES, ids=[f"{b.uid}/{v['name']}" for b, v in _VARIABLES])
def test_a_variable_offers_something(asker: Asker, board: Board, model: Json) -> None:
    """A query variable offers texts that are not empty, whatever is chosen above it; All is a custom value."""
    assert not unknown_names(variable_sql(model), board)
    if model.get("includeAll"):
        assert model.get("allValue") == "'*'"
        assert model.get("multi")
    for choices in ({}, *CHOICES.values()):
        above = [one for one in _chosen(asker, board, choices) if one.name != model["name"]]
        texts, frame = asker.options(model, asker.context(board, above))
        assert texts, choices
        assert len(texts) == frame.rows, "of two options with one text Grafana offers the first alone"
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
        assert f"{board.bare}/{model['name']}" in MAY_BE_EMPTY
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


def _problems(asker: Asker, board: Board, panel: Panel, choices: dict[str, Value]) -> list[str]:
    context = asker.context(board, _chosen(asker, board, choices), panel)
    try:
        return needs.problems(panel, asker.frames(panel, context))
    except (psycopg.Error, ValueError) as error:
        return [f"{type(error).__name__}: {error}"]


def _sql(asker: Asker, board: Board, panel: Panel) -> str:
    context = asker.context(board, board.opening(), panel)
    return "\n\n".join(expand(target["rawSql"], context).sql for target in panel.targets)
