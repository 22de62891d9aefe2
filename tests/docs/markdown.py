"""The project's pages: their fenced blocks, links, and what stands in them between backticks."""

import re
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

__all__ = ["ROOT", "Block", "blocks", "commands", "inline_code", "links", "pages", "prose", "written"]

ROOT = Path(__file__).resolve().parents[2]
_FENCE = re.compile(r"^( *)```(.*?)\n(.*?)^ *```$", re.MULTILINE | re.DOTALL)
_INLINE = re.compile(r"`([^`\n]+)`")
_LINK = re.compile(r"\]\(([^)\s]+)\)")


@dataclass(frozen=True)
class Block:
    """A fenced block: language, further words of its first line (such as `run` or `save=x.py`), and its text."""

    language: str
    marks: tuple[str, ...]
    text: str

    def saved_as(self) -> str | None:
        """The name under which the reader is told to save it."""
        return next((mark[5:] for mark in self.marks if mark.startswith("save=")), None)


def pages() -> list[Path]:
    """Every page of the documentation, and those at the top."""
    return [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").rglob("*.md"))]


def written() -> list[Path]:
    """Pages that are written by hand from end to end."""
    return [page for page in pages() if "reference" not in page.parts]


def blocks(page: Path) -> list[Block]:
    """The fenced blocks in order."""
    found = []
    for _indent, head, text in _FENCE.findall(page.read_text(encoding="utf-8")):
        language, *marks = head.split() or [""]
        found.append(Block(language, tuple(marks), textwrap.dedent(text)))
    return found


def prose(page: Path) -> str:
    """The page without its fenced blocks."""
    return _FENCE.sub("", page.read_text(encoding="utf-8"))


def inline_code(page: Path) -> list[str]:
    """What stands between single backticks."""
    return _INLINE.findall(prose(page))


def links(page: Path) -> list[str]:
    """The targets of all links."""
    return _LINK.findall(prose(page))


def commands(page: Path) -> Iterator[str]:
    """Every command line of the page: in console blocks after a `$`, in sh blocks, or whole in single backticks."""
    for block in blocks(page):
        lines = block.text.replace("\\\n", " ").splitlines()
        if block.language == "console":
            yield from (line[2:] for line in lines if line.startswith("$ "))
        if block.language == "sh":
            yield from (line.strip() for line in lines)
    yield from (code for code in inline_code(page) if code.startswith(("qytet ", "make ")))
