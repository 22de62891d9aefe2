"""docs/reference/dependencies.md names every package of pyproject.toml, with the reason, and no other."""

import re
import tomllib
from pathlib import Path

_ROOT = Path(__file__).parents[2]


def _declared() -> set[str]:
    project = tomllib.loads((_ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = [row for rows in project["optional-dependencies"].values() for row in rows]
    names = {
        re.split(r"[\s<>=!~;\[]", row, maxsplit=1)[0].lower() for row in [*project["dependencies"], *extras]
    }
    return names - {"qytet"}


def test_every_dependency_has_its_reason() -> None:
    """A package nobody can explain is not added, and one that left leaves the page."""
    page = (_ROOT / "docs" / "reference" / "dependencies.md").read_text(encoding="utf-8")
    rows = [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in page.splitlines()
        if line.startswith("|")
    ]
    explained = {cells[-2]: cells[-1] for cells in rows if set(cells[0]) != {"-"} and cells[-1] != "why"}
    assert set(explained) == _declared()
    assert all(explained.values())
