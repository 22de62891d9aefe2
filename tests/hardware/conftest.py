"""A board for each test, with its flash."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from qytet_simulators.hardware.board import Board
from qytet_simulators.hardware.flash import FlashFile
from tests.hardware.bench import install
from tests.servers.micropython import MicroPython

MakeBoard = Callable[..., Board]


@pytest.fixture
def flash(tmp_path: Path) -> Iterator[FlashFile]:
    """A blank chip of 4 MB."""
    with FlashFile(tmp_path / "flash.bin") as chip:
        yield chip


@pytest.fixture
def make_board(flash: FlashFile, micropython: MicroPython) -> Iterator[MakeBoard]:
    """`make_board(main, **options)`: a board, not yet powered, with `main` as its main.py (None: blank flash)."""
    with ExitStack() as boards:

        def make(
            main: str | None, *arguments: Any, files: dict[str, str] | None = None, **options: Any
        ) -> Board:
            if main is not None:
                install(flash, {"main.py": main, **(files or {})})
            return boards.enter_context(Board(flash, *arguments, **options))

        yield make
