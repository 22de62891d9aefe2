"""What a technician says of a pulse or a contact on one of the Pi's pins."""

from typing import Literal, Self

from pydantic import Field, model_validator

from qytet_contract import records
from qytet_contract.codes import ContractError
from qytet_contract.properties import PROPERTIES
from qytet_edge.inbox.gpio import PIN
from qytet_edge.inbox.kinds import Slug, SourceConfig

__all__ = ["Config", "ContactConfig", "PulsesConfig"]

_LITRES = 1000


class _PinConfig(SourceConfig):
    pin: str = Field(
        pattern=PIN,
        coerce_numbers_to_str=True,
        description="BCM number of the pin, such as 17, or a name (BOARD11).",
    )
    pull: Literal["up", "down", "none"] = Field(
        "up",
        description="The Pi's own resistor: `up` for a contact to ground, `none` if there is one outside.",
    )
    active: Literal["low", "high"] | None = Field(
        None, description='Level of a closed contact; if not given, high with `pull = "down"`, else low.'
    )
    device: Slug | None = Field(
        None, description="The device that its readings belong to; the gateway if not given."
    )

    @property
    def active_high(self) -> bool:
        """Whether 3.3 V on the pin means active."""
        return self.pull == "down" if self.active is None else self.active == "high"

    @model_validator(mode="after")
    def _level(self) -> Self:
        if self.active is not None and self.pull != "none" and self.active_high != (self.pull == "down"):
            raise ValueError(f'`active = "{self.active}"` is the level at rest with `pull = "{self.pull}"`')
        return self


class PulsesConfig(_PinConfig):
    """A contact or open collector that gives a pulse for each litre, turn or tip."""

    kind: Literal["pulses"]
    litres_per_pulse: float | None = Field(
        None,
        gt=0,
        description="For water meters (K): shorthand for `per_pulse` in m3, and the two usual keys.",
    )
    per_pulse: float | None = Field(
        None, gt=0, description="Amount of one pulse, in the unit of `total` or `amount`."
    )
    total: str = Field(
        "", description="Key of the running total, which survives restarts (water_volume_total)."
    )
    rate: str = Field(
        "", description="Key of the rate over the report's time; its unit is that of the total an hour."
    )
    amount: str = Field(
        "", description="Key of the amount since the last report (precipitation_amount, motion_count)."
    )
    initial: float = Field(
        0.0, ge=0, description="What the meter showed when it was wired, in the unit of `total`."
    )
    report_s: float = Field(60, gt=0, le=86400, description="Seconds from report to report.")
    checkpoint_s: float = Field(
        10,
        gt=0,
        le=86400,
        description="Seconds after which new pulses are on the disk at the latest: so many seconds of pulses a power "
        "cut can cost. While nothing comes in nothing is written.",
    )
    debounce_ms: float = Field(
        50,
        ge=0,
        le=10_000,
        description="Rest before a pulse. 50 or more for reed contacts; less for electronic ones.",
    )
    min_pulse_ms: float = Field(
        1, ge=0, le=10_000, description="Shortest time that a pulse is active; what is shorter is a spike."
    )

    @property
    def unit_per_pulse(self) -> float:
        """Amount of one pulse in the unit of total and amount."""
        return self.litres_per_pulse / _LITRES if self.litres_per_pulse else self.per_pulse or 1.0

    @property
    def keys(self) -> dict[str, str]:
        """The keys in use, by what they hold: total, rate, amount."""
        total, rate = self.total, self.rate
        if self.litres_per_pulse:
            total, rate = total or "water_volume_total", rate or "water_flow_rate"
        return {what: key for what, key in (("total", total), ("rate", rate), ("amount", self.amount)) if key}

    @model_validator(mode="after")
    def _agrees(self) -> Self:
        if (self.litres_per_pulse is None) == (self.per_pulse is None):
            raise ValueError("give either `litres_per_pulse` or `per_pulse`")
        keys = self.keys
        if not keys:
            raise ValueError("give at least one of `total`, `rate` and `amount`")
        units = {what: _unit(what, key) for what, key in keys.items()}
        if self.litres_per_pulse and {units[what] for what in ("total", "amount") if what in units} - {"m3"}:
            raise ValueError("`litres_per_pulse` counts m3: `total` and `amount` must have that unit")
        if len({units[what] for what in ("total", "amount") if what in units}) > 1:
            raise ValueError("`total` and `amount` have different units")
        unit = units.get("total") or units.get("amount")
        if unit and "rate" in units and units["rate"] != _hourly(unit):
            raise ValueError(f"`rate` has the unit {units['rate']}, not {_hourly(unit)}")
        return self


class ContactConfig(_PinConfig):
    """A contact whose state matters: a door, a float switch, a pump's auxiliary contact."""

    kind: Literal["contact"]
    key: str = Field(
        description="Key under which its state is reported: 1 active, 0 not (cabinet_door_open)."
    )
    invert: bool = Field(
        False, description="Report 1 while it is not active: a door contact is closed with the door."
    )
    heartbeat_s: float = Field(
        900, gt=0, le=86400, description="Seconds after which an unchanged state is told again."
    )
    debounce_ms: float = Field(50, ge=0, le=10_000, description="How long a new state must stand to be one.")

    @model_validator(mode="after")
    def _known(self) -> Self:
        _unit("key", self.key)
        return self


Config = PulsesConfig | ContactConfig


def _unit(what: str, key: str) -> str:
    try:
        records.check_key(key)
    except ContractError as error:
        raise ValueError(f"`{what}`: {key!r} is no key of the catalogue ({error})") from error
    return PROPERTIES[key.partition(":")[0]][0]


def _hourly(unit: str) -> str:
    return "kW" if unit == "kW.h" else f"{unit}/h"
