"""Where an alert's panel stands: the number that a panel has on its generated board."""

import importlib
from collections.abc import Iterator
from functools import cache

from grafana_foundation_sdk.models import dashboard as models

from qytet.messages import text
from qytet_dashboards.cities import cities
from qytet_dashboards.vocabulary.board import Board, uid

__all__ = ["panel_number"]


def panel_number(board: str, key: str, language: str) -> int:
    """The number of the panel whose title is the text `board_BOARD.KEY`, or KEY if that names a section.

    Raises LookupError if the board has no such panel, or more than one.
    """
    title = text(key if "." in key else f"board_{board}.{key}", language)
    found = [panel.id_val for panel in _panels(board, language) if panel.title == title and panel.id_val]
    if len(found) != 1:
        raise LookupError(f"board {board} has {len(found)} panels called {title!r}, and an alert leads to it")
    return found[0]


@cache
def _panels(board: str, language: str) -> list[models.Panel]:
    module = importlib.import_module(f"qytet_dashboards.boards.{board}")
    boards: Iterator[Board] = module.build(language, cities())
    model = next(one.build() for one in boards if one.uid == uid(board, language))
    found = []
    for panel in model.panels or []:
        inner = panel.panels if isinstance(panel, models.RowPanel) else [panel]
        found += [one for one in inner if isinstance(one, models.Panel)]
    return found
