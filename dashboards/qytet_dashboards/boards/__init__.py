"""The dashboards, one module each: its `build(language, cities)` gives the boards that it makes."""

import importlib
import pkgutil
from collections.abc import Sequence

from qytet_dashboards.cities import City
from qytet_dashboards.vocabulary.board import Board

__all__ = ["LANGUAGES", "every_board"]

LANGUAGES = ("sq", "en")


def every_board(cities: Sequence[City]) -> list[Board]:
    """All dashboards in all languages, ordered by name."""
    modules = [
        importlib.import_module(f"{__name__}.{found.name}") for found in pkgutil.iter_modules(__path__)
    ]
    boards = [
        board for module in modules for language in LANGUAGES for board in module.build(language, cities)
    ]
    return sorted(boards, key=lambda board: board.uid)
