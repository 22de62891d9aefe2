"""Writes what each dashboard answers into docs/how-to/read-dashboards.md and lexo-panelet.md, from the boards' texts.

Usage: python docs/boards_page.py [--check]

What stands above the line `<!-- generated -->` is written by hand and stays.
"""

import sys
from collections.abc import Iterator
from pathlib import Path

from grafana_foundation_sdk.models.dashboard import Panel, RowPanel

from qytet_dashboards.boards import every_board
from qytet_dashboards.cities import cities
from qytet_dashboards.vocabulary.board import Board

FOLDER = Path(__file__).parent / "how-to"
PAGES = {"en": "read-dashboards.md", "sq": "lexo-panelet.md"}
MARK = "<!-- generated -->"
HEADS = {"en": ("Panel", "What it answers"), "sq": ("Paneli", "Çfarë tregon")}
ORDER = ("national", "city", "air", "lighting", "water", "traffic", "fleet", "delivery", "platform")


def page(language: str) -> str:
    """A section a board, a row a panel, in the order in which an operator meets them."""
    boards = [board for board in every_board(cities()) if board.words.language == language]
    first_of = {}
    for board in sorted(boards, key=lambda one: one.name):
        first_of.setdefault(board.name.split("-")[0], board)  # cities have the same board
    lines: list[str] = []
    for name in ORDER:
        lines += _section(first_of[name], HEADS[language])
    return "\n".join(lines) + "\n"


def _section(board: Board, head: tuple[str, str]) -> list[str]:
    built = board.build()
    lines = [
        "",
        f"## {built.title}",
        "",
        built.description or "",
        "",
        f"| {head[0]} | {head[1]} |",
        "|---|---|",
    ]
    lines += [
        f"| {_cell(panel.title)} | {_cell(panel.description)} |" for panel in _panels(built.panels or [])
    ]
    return lines


def _panels(panels: list[Panel | RowPanel]) -> Iterator[Panel]:
    for panel in panels:
        if isinstance(panel, RowPanel):
            yield from panel.panels
        else:
            yield panel


def _cell(text: str | None) -> str:
    return " ".join((text or "").replace("|", "/").split())


def main() -> int:
    """Write the pages, or with --check say which one drifted (exit code 1)."""
    drifted = []
    for language, name in PAGES.items():
        file = FOLDER / name
        old = file.read_text(encoding="utf-8")
        new = old[: old.index(MARK) + len(MARK) + 1] + page(language)
        if new != old:
            drifted.append(name)
            if "--check" not in sys.argv[1:]:
                file.write_text(new, encoding="utf-8")
    if drifted and "--check" in sys.argv[1:]:
        sys.stderr.write(f"{', '.join(drifted)}: run `python docs/boards_page.py` and commit the result\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
