"""Colours that mean something, and the words that states are shown with: no rainbow, the same on every dashboard."""

from collections.abc import Mapping
from dataclasses import dataclass

from grafana_foundation_sdk.builders import dashboard as builders
from grafana_foundation_sdk.models import dashboard as models

from qytet_dashboards.vocabulary.words import Words

__all__ = ["BAD", "DAY_BURNING", "EAQI", "NEUTRAL", "OK", "POOR", "UNKNOWN", "WARN", "States", "steps"]

OK, WARN, POOR, BAD, UNKNOWN, NEUTRAL = "#56A64B", "#F2CC0C", "#FF780A", "#C4162A", "#8E8E8E", "#3274D9"
DAY_BURNING = "#B877D9"

# The European Environment Agency's own six (airindex.eea.europa.eu).
EAQI = ("#50F0E6", "#50CCAA", "#F0E641", "#FF5050", "#960032", "#7D2181")


@dataclass(frozen=True, slots=True)
class States:
    """Codes of a state with a message key and a colour each, e.g. ``{0: ("silent", BAD)}``."""

    section: str
    codes: Mapping[int, tuple[str, str]]

    def mapping(self, words: Words) -> models.ValueMap:
        """Grafana's value mapping: the code is shown as a word in its colour."""
        of = words.of(self.section)
        return models.ValueMap(
            options={
                str(code): models.ValueMappingResult(text=of(key), color=colour, index=place)
                for place, (code, (key, colour)) in enumerate(self.codes.items())
            }
        )

    def thresholds(self) -> builders.ThresholdsConfig:
        """The same colours by threshold, for panels that colour by value (a map's markers)."""
        ordered = sorted(self.codes.items())
        first, *rest = ordered
        return steps(first[1][1], *((code, colour) for code, (_, colour) in rest))


def steps(base: str, *above: tuple[float, str]) -> builders.ThresholdsConfig:
    """Thresholds: a colour from the bottom, and another from each value up."""
    found = [models.Threshold(value=None, color=base)]
    found += [models.Threshold(value=value, color=colour) for value, colour in above]
    return builders.ThresholdsConfig().mode(models.ThresholdsMode.ABSOLUTE).steps(found)
