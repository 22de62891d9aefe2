"""The table `[[rule]]`: conditions on readings, and what an output is set to when they hold, do not, or are unknown."""

import datetime as dt
from typing import Annotated, Literal, Self
from zoneinfo import ZoneInfo

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from qytet_contract import records
from qytet_contract.codes import ContractError
from qytet_edge.inbox.kinds import Slug

__all__ = ["DAYS", "Condition", "RuleConfig", "Schedule", "Then"]

Day = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
DAYS: tuple[Day, ...] = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
Clock = Annotated[str, Field(pattern=r"^([01]\d|2[0-3]):[0-5]\d$")]


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)


class Condition(_Table):
    """One value of one device against one limit."""

    device: Slug | None = Field(None, description="The device that measures. Empty: the gateway itself.")
    key: str = Field(description="What it measures: `property` or `property:channel` of the catalogue.")
    above: float | None = Field(
        None,
        allow_inf_nan=False,
        description="It holds while the value is above this. Either this or `below`.",
    )
    below: float | None = Field(
        None,
        allow_inf_nan=False,
        description="It holds while the value is below this. Either this or `above`.",
    )
    hysteresis: float = Field(
        0,
        ge=0,
        allow_inf_nan=False,
        description="Once it holds, it ends only when the value is this far on the other side of the limit.",
    )
    for_s: float = Field(
        0, ge=0, le=604_800, description="Seconds for which it must hold without a break before it counts."
    )
    stale_s: float = Field(
        600,
        gt=0,
        le=604_800,
        description="Seconds after which a reading says nothing any more: then the condition is unknown.",
    )

    @field_validator("key")
    @classmethod
    def _known(cls, key: str) -> str:
        try:
            records.check_key(key)
        except ContractError as error:
            raise ValueError(f"the catalogue has no {key!r} ({error.code})") from error
        return key

    @model_validator(mode="after")
    def _one_limit(self) -> Self:
        if (self.above is None) == (self.below is None):
            raise ValueError("a condition needs either `above` or `below`, not both and not neither")
        return self


class Then(_Table):
    """What the rule moves, and to which value."""

    output: Slug = Field(description="Name of an [[output]].")
    value: float = Field(
        allow_inf_nan=False,
        description="Its value while the rule is on: 0 or 1 of a switch, per cent of a dimmer.",
    )


class Schedule(_Table):
    """When the rule is at work: a window of local time, over midnight if it ends before it begins."""

    begin: Clock = Field("00:00", alias="from", description="Local time HH:MM at which the window opens.")
    end: Clock = Field(
        "00:00",
        alias="to",
        description="Local time HH:MM at which it closes; the same as `from` means a whole day.",
    )
    days: tuple[Day, ...] = Field(DAYS, min_length=1, description="Days on which the window opens.")
    zone: str = Field("", description="Time zone. Empty: the gateway's.")

    @field_validator("zone")
    @classmethod
    def _zone(cls, zone: str) -> str:
        if zone:
            try:
                ZoneInfo(zone)
            except (OSError, ValueError, KeyError) as error:  # ZoneInfoNotFoundError is a KeyError
                raise ValueError(f"there is no time zone {zone!r} on this machine") from error
        return zone

    def contains(self, local: dt.datetime) -> bool:
        """Whether this local time lies in the window; the day that counts is the one on which it opened."""
        now, begin, end = local.strftime("%H:%M"), self.begin, self.end
        today, yesterday = DAYS[local.weekday()], DAYS[local.weekday() - 1]
        if begin < end:
            return begin <= now < end and today in self.days
        return (now >= begin and today in self.days) or (now < end and yesterday in self.days)


class RuleConfig(_Table):
    """One rule: `on` while its conditions hold, `off` while they do not, `failed` while that is unknown."""

    name: Slug = Field(description="Its name in events and status; unique.")
    when: tuple[Condition, ...] = Field(min_length=1, max_length=16, description="The conditions.")
    match: Literal["all", "any"] = Field("all", description="Whether all conditions must hold, or any one.")
    then: Then = Field(description="The output, and its value while the rule is on.")
    otherwise: float | None = Field(
        None,
        alias="else",
        allow_inf_nan=False,
        description="The output's value while no rule for it is on. Empty: it stays as it is.",
    )
    fail_safe: float | Literal["keep"] = Field(
        description='The output\'s value while the rule cannot know (a reading is stale); or "keep": it stays as it is.'
    )
    min_on_s: float = Field(1, ge=0, le=86_400, description="Seconds that it stays on at least.")
    min_off_s: float = Field(1, ge=0, le=86_400, description="Seconds that it stays off at least.")
    schedule: Schedule | None = Field(
        None, description="A window of local time outside of which the rule is off. Empty: always at work."
    )
