"""The texts that operators and citizens read, in Albanian and English, from one catalogue.

`messages.toml` holds what is shared; `texts/` one file for each larger part.
"""

import tomllib
from functools import cache
from importlib import resources
from typing import Any

from qytet.errors import NotFoundError

__all__ = ["LANGUAGES", "catalogue", "text"]

LANGUAGES = ("sq", "en")


@cache
def catalogue(language: str) -> dict[str, str]:
    """All texts of one language by key (`section.name`). Raises NotFoundError for another language."""
    if language not in LANGUAGES:
        raise NotFoundError(
            f"There are no texts in the language {language}.", do=f"Languages: {', '.join(LANGUAGES)}."
        )
    return {key: entry[language] for key, entry in _entries().items()}


def text(key: str, language: str, **values: object) -> str:
    """The text of `key`, its {placeholders} filled. Raises NotFoundError; KeyError if a value is missing."""
    try:
        template = catalogue(language)[key]
    except KeyError:
        raise NotFoundError(
            f"There is no text {key}.", do="core/qytet/messages.toml and core/qytet/texts hold them all."
        ) from None
    return template.format_map(values)


@cache
def _entries() -> dict[str, dict[str, str]]:
    package = resources.files("qytet")
    files = [
        package / "messages.toml",
        *sorted(package.joinpath("texts").iterdir(), key=lambda file: file.name),
    ]
    found: dict[str, dict[str, str]] = {}
    for file in files:
        if file.name.endswith(".toml"):
            more = _read(file.read_text(encoding="utf-8"))
            if twice := sorted(found.keys() & more.keys()):
                raise ValueError(f"{file.name} says again what stands elsewhere: {', '.join(twice)}")
            found |= more
    return found


def _read(content: str) -> dict[str, dict[str, str]]:
    sections: dict[str, dict[str, Any]] = tomllib.loads(content)
    return {
        f"{section}.{name}": entry for section, names in sections.items() for name, entry in names.items()
    }
