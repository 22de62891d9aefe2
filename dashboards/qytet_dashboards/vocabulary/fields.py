"""What one column of a panel shows: its unit, the word and colour of its code, where it leads, how wide it is."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol, Self, TypeVar

from grafana_foundation_sdk.builders import dashboard as builders
from grafana_foundation_sdk.models import dashboard as models

from qytet_dashboards.vocabulary.colours import UNKNOWN, States
from qytet_dashboards.vocabulary.words import Words

__all__ = ["Field", "link_to", "with_fields"]

_TIME_RANGE = "${__url_time_range}"


class _Overridden(Protocol):
    def override_by_name(self, name: str, properties: list[models.DynamicConfigValue], /) -> Self:
        """What differs for one column."""


@dataclass(frozen=True, slots=True)
class Field:
    """A column of the query by name; what is not said stays as the panel has it.

    `link` is an address (see `link_to`); `states` or `thresholds` colour the cell's background or, as
    `colour="text"`, its text; a hidden column is there for links alone. `names` gives the text of a code its
    message key (in the section `states`, unless it says another); `empty` stands for what is not known, in grey where
    the cell is coloured.
    """

    name: str
    unit: str = ""
    decimals: int | None = None
    states: States | None = None
    thresholds: builders.ThresholdsConfig | None = None
    colour: str = "background"
    link: str = ""
    width: int = 0
    hidden: bool = False
    title: str = ""
    names: Mapping[str, str] = field(default_factory=dict)
    empty: str = ""

    def properties(self, words: Words) -> list[models.DynamicConfigValue]:
        """What overrides the panel's own."""
        said: dict[str, object] = {}
        if self.title:
            said["displayName"] = words(self.title)
        if self.unit:
            said["unit"] = self.unit
        if self.decimals is not None:
            said["decimals"] = self.decimals
        if mappings := self._mappings(words):
            said["mappings"] = mappings
        if self.empty:
            said["noValue"] = self.empty
        thresholds = self._thresholds()
        if thresholds is not None:
            said["thresholds"] = thresholds.build().to_json()
            said["color"] = {"mode": "thresholds"}
            said["custom.cellOptions"] = {"type": f"color-{self.colour}", "mode": "basic"}
        if self.link:
            said["links"] = [{"title": words("boards.open"), "url": self.link}]
        if self.width:
            said["custom.width"] = self.width
        if self.hidden:
            said["custom.hidden"] = True
        return [models.DynamicConfigValue(id_val=key, value=value) for key, value in said.items()]

    def _thresholds(self) -> builders.ThresholdsConfig | None:
        return self.thresholds or (self.states.thresholds() if self.states else None)

    def _mappings(self, words: Words) -> list[object]:
        found: list[object] = []
        if self.states is not None:
            found.append(self.states.mapping(words).to_json())
        elif self.names:
            found.append(_named(self.names, words))
        if self.empty and self._thresholds() is not None:
            found.append(_unknown(self.empty))
        return found


def _unknown(text: str) -> object:
    """Without it Grafana gives what is not known the colour of the lowest threshold, which mostly says: well."""
    return models.SpecialValueMap(
        models.DashboardSpecialValueMapOptions(
            match=models.SpecialValueMatch.NULL_AND_NAN,
            result=models.ValueMappingResult(text=text, color=UNKNOWN, index=0),
        )
    ).to_json()


def _named(names: Mapping[str, str], words: Words) -> object:
    shown = {code: words(key if "." in key else f"states.{key}") for code, key in names.items()}
    return models.ValueMap(
        {
            code: models.ValueMappingResult(text=text, index=at)
            for at, (code, text) in enumerate(shown.items())
        }
    ).to_json()


P = TypeVar("P", bound=_Overridden)


def with_fields(panel: P, words: Words, *fields: Field) -> P:
    """The panel with these columns as they are described."""
    for one in fields:
        panel = panel.override_by_name(one.name, one.properties(words))
    return panel


def link_to(board: str, language: str, variables: Sequence[str] = (), **named: str) -> str:
    """The address of another of our boards with the time range kept.

    Each of `variables` is a column of the same name as the board's variable; `named` gives a variable's column
    where they differ.
    """
    columns = {name: name for name in variables} | named
    chosen = "".join(f"&var-{name}=${{__data.fields.{column}}}" for name, column in columns.items())
    return f"/d/qytet-{board}-{language}?{_TIME_RANGE}{chosen}"
