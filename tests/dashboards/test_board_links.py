"""Every link of a board leads to a board that there is, by variables that it has."""

import json
import re
from collections.abc import Iterator
from urllib.parse import parse_qsl, urlsplit

import pytest

from qytet_dashboards.cities import cities
from tests.dashboards.boards import Board, boards

_ADDRESS = re.compile(r'"(/d/[^"]+)"')
_DECIDING = {
    "${__data.fields.city}": [city.slug for city in cities()],
    "${__data.fields.board}": ["air", "lighting", "water", "traffic", "delivery"],
}
"""Columns that decide which board a link leads to, with what they hold."""
_BOARDS = {board.uid: board for board in boards()}


@pytest.mark.parametrize("board", _BOARDS.values(), ids=_BOARDS)
def test_a_link_leads_somewhere(board: Board) -> None:
    """A link names a board of the same provisioning, in the reader's language but for the twin, and its variables."""
    language = board.uid.rpartition("-")[2]
    for address in _addresses(board):
        url = urlsplit(address)
        target = _BOARDS.get(url.path.removeprefix("/d/").partition("/")[0])
        assert target, address
        assert target.uid.rpartition("-")[0] == board.uid.rpartition("-")[0] or target.uid.endswith(language)
        names = [name.removeprefix("var-") for name, _ in parse_qsl(url.query) if name.startswith("var-")]
        assert set(names) <= {model["name"] for model in target.variables}, address


@pytest.mark.parametrize("city", [city.slug for city in cities()])
@pytest.mark.parametrize("language", ["sq", "en"])
def test_a_city_has_an_overview_of_its_own(city: str, language: str) -> None:
    """A city's overview is about that city alone, and the national board leads to it."""
    board = _BOARDS[f"qytet-city-{city}-{language}"]
    (variable,) = (model for model in board.variables if model["name"] == "city")
    assert (variable["type"], variable["query"], variable["hide"]) == ("constant", city, 2)
    assert any(board.uid in address for address in _addresses(_BOARDS[f"qytet-national-{language}"]))


def _addresses(board: Board) -> Iterator[str]:
    """The board's addresses, each with all that a column may put in its path."""
    for address in _ADDRESS.findall(json.dumps(board.json)):
        path, mark, query = address.partition("?")
        column = next((name for name in _DECIDING if name in path), "")
        for value in _DECIDING.get(column, [""]):
            yield (path.replace(column, value) if column else path) + mark + query
