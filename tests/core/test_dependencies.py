"""docs/reference/dependencies.md names every package of pyproject.toml, with the reason, and no other."""

import re
import tomllib
from pathlib import Path
from typing import Any

_ROOT = Path(__file__).parents[2]
_ALWAYS, _DEVELOPMENT, _BUILD = "Always", "For development", "To build the wheel"


def _names(rows: list[str]) -> set[str]:
    found = {re.split(r"[\s<>=!~;\[]", row, maxsplit=1)[0].lower() for row in rows}
    return found - {"qytet"}  # an extra that brings another


def _declared() -> set[tuple[str, str]]:
    """Heading or extra, and package, as the files have them."""
    data: dict[str, Any] = tomllib.loads((_ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    build = (_ROOT / "requirements/build.in").read_text(encoding="utf-8").split()
    assert _names(build) == _names(data["build-system"]["requires"])
    extras: dict[str, list[str]] = data["project"]["optional-dependencies"]
    parts = {
        _ALWAYS: data["project"]["dependencies"],
        _BUILD: build,
        _DEVELOPMENT: extras.pop("dev"),
        **extras,
    }
    return {(part, name) for part, rows in parts.items() for name in _names(rows)}


def _explained() -> set[tuple[str, str]]:
    """The same as the page has them; a row that is for several extras counts for each."""
    page = (_ROOT / "docs" / "reference" / "dependencies.md").read_text(encoding="utf-8")
    found, heading = set(), ""
    for line in page.splitlines():
        if line.startswith("## "):
            heading = line.removeprefix("## ")
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if not line.startswith("|") or cells[-1] in ("why", "---"):
            continue
        *extras, name, why = cells
        assert why, name
        found |= {(part.strip(), name) for part in (extras[0] if extras else heading).split(",")}
    return found


def test_every_dependency_has_its_reason() -> None:
    """A package nobody can explain is not added, under the extra that brings it, and one that left leaves the page."""
    assert _explained() == _declared()
