"""Which cities get an overview of their own: read from a file, so that another city is a line and not code."""

import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

from qytet.errors import InputError

__all__ = ["City", "cities"]


@dataclass(frozen=True, slots=True)
class City:
    """A city as the registry calls it, with its name in each language."""

    slug: str
    sq: str
    en: str

    def name(self, language: str) -> str:
        """Its name in a language."""
        return self.sq if language == "sq" else self.en


def cities(file: Path | None = None) -> Sequence[City]:
    """The cities of a file, or those of the package. Raises InputError with the place that is wrong."""
    source = file or resources.files("qytet_dashboards") / "cities.toml"
    try:
        table = tomllib.loads(source.read_text(encoding="utf-8"))
        return [City(slug, **names) for slug, names in table.items()]
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError, TypeError) as error:
        raise InputError(
            "The list of cities cannot be used.",
            why=str(error),
            do='It has a table a city: [tirana], then sq = "Tiranë" and en = "Tirana".',
        ) from error
