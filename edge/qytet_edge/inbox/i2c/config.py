"""What a technician says of a chip on an I2C bus, and the driver for it."""

from collections.abc import Callable
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from qytet_contract import records
from qytet_contract.codes import ContractError
from qytet_edge.inbox.current_loop import Loop
from qytet_edge.inbox.i2c import ads1115, bme280, scd41, sps30
from qytet_edge.inbox.i2c.bus import Chip, Pause
from qytet_edge.inbox.kinds import Slug, SourceConfig

__all__ = ["ADDRESSES", "SAMPLE_S", "Config", "InputConfig", "driver"]

ADDRESSES = {
    "bme280": (bme280.ADDRESS, bme280.OTHER_ADDRESS),
    "scd41": (scd41.ADDRESS,),
    "sps30": (sps30.ADDRESS,),
    "ads1115": tuple(range(ads1115.ADDRESS, ads1115.ADDRESS + 4)),
}
"""Where each chip can be; the first is taken if the configuration names none."""

SAMPLE_S = {"bme280": 10.0, "scd41": 5.0, "sps30": 1.0, "ads1115": 1.0}


class InputConfig(BaseModel):
    """An input of an ADS1115: a 4-20 mA loop over a resistor (`shunt_ohm`, `low`, `high`), or a voltage."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    input: int = Field(ge=0, le=3, description="Number of the input, AIN0 to AIN3, against ground.")
    key: str = Field(description="Key of its readings (water_pressure, water_tank_level:north).")
    range_v: float = Field(
        4.096,
        description="Full scale in volts: 6.144, 4.096, 2.048, 1.024, 0.512 or 0.256. Not above the supply.",
    )
    shunt_ohm: float | None = Field(
        None, gt=0, description="Resistor that the loop's current flows through (150)."
    )
    low: float | None = Field(None, description="What 4 mA mean, in the catalogue's unit.")
    high: float | None = Field(None, description="What 20 mA mean, in the catalogue's unit.")
    scale: float = Field(1.0, description="Without a loop: the value is volts times `scale` plus `offset`.")
    offset: float = Field(0.0, description="See `scale`.")

    @model_validator(mode="after")
    def _agrees(self) -> Self:
        try:
            records.check_key(self.key)
        except ContractError as error:
            raise ValueError(f"`key`: {self.key!r} is no key of the catalogue ({error})") from error
        if self.range_v not in ads1115.RANGES:
            raise ValueError(f"`range_v` must be one of {', '.join(f'{one:g}' for one in ads1115.RANGES)}")
        loop = (self.shunt_ohm, self.low, self.high)
        if any(one is not None for one in loop) and None in loop:
            raise ValueError("a 4-20 mA loop needs all of `shunt_ohm`, `low` and `high`")
        if self.shunt_ohm is not None and self.shunt_ohm * 0.021 > self.range_v:
            raise ValueError(
                f"21 mA over {self.shunt_ohm:g} Ohm are more than `range_v`: a fault could not be told"
            )
        return self

    def wired(self) -> ads1115.Input:
        """As the driver has it."""
        if self.shunt_ohm is None or self.low is None or self.high is None:
            return ads1115.Input(self.input, self.key, self.range_v, scale=self.scale, offset=self.offset)
        return ads1115.Input(self.input, self.key, self.range_v, self.shunt_ohm, Loop(self.low, self.high))


class Config(SourceConfig):
    """A chip on an I2C bus of the Pi."""

    kind: Literal["i2c"]
    chip: Literal["bme280", "scd41", "sps30", "ads1115"] = Field(
        description="bme280: temperature, humidity, pressure; scd41: CO2, temperature, humidity; sps30: particulate "
        "matter; ads1115: voltages and 4-20 mA."
    )
    bus: int = Field(1, ge=0, le=99, description="Number of the bus; on a Pi's header it is 1 (/dev/i2c-1).")
    address: int | None = Field(
        None, ge=0x08, le=0x77, description="The chip's address (0x76); the maker's first one if not given."
    )
    device: Slug | None = Field(
        None, description="The device that its readings belong to; the gateway if not given."
    )
    channel: str = Field(
        "",
        pattern=r"^[a-z0-9_-]{0,24}$",
        description="Told apart by this from another sensor of the same device.",
    )
    report_s: float = Field(
        60,
        gt=0,
        le=86400,
        description="Seconds from report to report, each the mean of the samples since the last.",
    )
    sample_s: float | None = Field(
        None, gt=0, le=3600, description="Seconds from sample to sample; as fits the chip."
    )
    settle_s: float | None = Field(
        None,
        ge=0,
        le=3600,
        description="Seconds after a start that do not count; as the maker says if not given.",
    )
    altitude_m: int | None = Field(
        None, ge=0, le=3000, description="scd41: height above the sea, for the thin air."
    )
    self_calibration: bool | None = Field(
        None,
        description="scd41: true takes each week's lowest value for 400 ppm; not given leaves it as it is.",
    )
    clean_days: float = Field(
        7, gt=0, le=60, description="sps30: days of measuring after which its fan is blown out."
    )
    inputs: tuple[InputConfig, ...] = Field((), max_length=4, description="ads1115: what is on its inputs.")

    @property
    def path(self) -> str:
        """The bus as a file."""
        return f"/dev/i2c-{self.bus}"

    @property
    def at(self) -> int:
        """The address in use."""
        return self.address if self.address is not None else ADDRESSES[self.chip][0]

    @property
    def every_s(self) -> float:
        """Seconds from sample to sample."""
        return min(self.sample_s or SAMPLE_S[self.chip], self.report_s)

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if (self.chip == "ads1115") != bool(self.inputs):
            raise ValueError("`inputs` belong to an ads1115, which needs at least one")
        if len({one.key for one in self.inputs}) < len(self.inputs):
            raise ValueError("`inputs`: two of them have the same key")
        if self.channel and self.inputs:
            raise ValueError("`channel`: give it in the key of each input (water_pressure:north)")
        if self.chip != "scd41" and (self.altitude_m is not None or self.self_calibration is not None):
            raise ValueError(f"`altitude_m` and `self_calibration` belong to an scd41, not to a {self.chip}")
        return self


def driver(config: Config, pause: Pause) -> Chip:
    """The driver for the chip."""
    makers: dict[str, Callable[[], Chip]] = {
        "bme280": lambda: bme280.Bme280(pause, config.at),
        "scd41": lambda: scd41.Scd41(
            pause, config.at, altitude_m=config.altitude_m, self_calibration=config.self_calibration
        ),
        "sps30": lambda: sps30.Sps30(pause, config.at),
        "ads1115": lambda: ads1115.Ads1115(
            pause, config.at, inputs=tuple(one.wired() for one in config.inputs)
        ),
    }
    return makers[config.chip]()
