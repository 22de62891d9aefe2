"""The texts that operators and citizens read, in Albanian and English, from one file."""

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
            f"There is no text {key}.", do="core/qytet/messages.toml holds them all."
        ) from None
    return template.format_map(values)


@cache
def _entries() -> dict[str, dict[str, str]]:
    content = resources.files("qytet").joinpath("messages.toml").read_text(encoding="utf-8")
    sections: dict[str, dict[str, Any]] = tomllib.loads(content)
    return {
        f"{section}.{name}": entry for section, names in sections.items() for name, entry in names.items()
    }
