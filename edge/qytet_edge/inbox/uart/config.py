"""What a technician says of a sensor on a serial line."""

from typing import Literal, Self

from pydantic import Field, model_validator

from qytet_edge.inbox.kinds import Slug, SourceConfig
from qytet_edge.inbox.uart import mhz19, pms5003, sds011
from qytet_edge.inbox.uart.frames import Sensor

__all__ = ["SENSORS", "Config"]

SENSORS: dict[str, Sensor] = {row.name: row for row in (pms5003.SENSOR, sds011.SENSOR, mhz19.SENSOR)}

_DUTY_S = 300.0
_STEADY_S = 60.0


class Config(SourceConfig):
    """A sensor that speaks over a serial line (TTL on the Pi's header, or a USB adapter)."""

    kind: Literal["uart"]
    sensor: Literal["pms5003", "sds011", "mhz19", "nmea"] = Field(
        description="pms5003 and sds011: particulate matter; mhz19: CO2; nmea: satellite receiver, for time and place."
    )
    port: str = Field(
        min_length=1,
        description="The serial port. For USB take the name under /dev/serial/by-id, which stays the same.",
    )
    baud: int | None = Field(
        None, ge=300, le=921600, description="Speed; as the sensor's maker says if not given."
    )
    device: Slug | None = Field(
        None, description="The device that its readings belong to; the gateway if not given."
    )
    channel: str = Field(
        "",
        pattern=r"^[a-z0-9_-]{0,24}$",
        description="Told apart by this from another sensor of the same device.",
    )
    report_s: float | None = Field(
        None,
        gt=0,
        le=86400,
        description="Seconds from report to report, each the mean of the good frames since the last. "
        "60 if not given, 300 with `duty_cycle`.",
    )
    warm_up_s: float | None = Field(
        None,
        ge=0,
        le=3600,
        description="Seconds after a start that do not count; as the maker says if not given.",
    )
    duty_cycle: bool | None = Field(
        None,
        description="pms5003 and sds011: sleep between reports, which spares laser and fan. "
        "If not given, yes for sds011 and no for pms5003.",
    )
    sample_s: float = Field(
        30, gt=0, le=3600, description="With `duty_cycle`: seconds of measuring for one report."
    )
    poll_s: float = Field(5, gt=0, le=3600, description="mhz19: seconds from question to question.")
    self_calibration: bool | None = Field(
        None,
        description="mhz19: true takes each day's lowest value for 400 ppm, false does not, "
        "not given leaves it as the sensor has it.",
    )
    delay_ms: int = Field(
        200,
        ge=0,
        le=2000,
        description="nmea: how long after the second the sentence with its time has come in.",
    )
    silent_s: float = Field(
        15, gt=0, le=3600, description="Seconds without a good frame that count as trouble."
    )

    @property
    def cycles(self) -> bool:
        """Whether it sleeps between reports."""
        return self.sensor == "sds011" if self.duty_cycle is None else self.duty_cycle

    @property
    def every_s(self) -> float:
        """Seconds from report to report."""
        return self.report_s or (_DUTY_S if self.cycles else _STEADY_S)

    @property
    def warm_s(self) -> float:
        """Seconds after a start that do not count."""
        if self.warm_up_s is not None:
            return self.warm_up_s
        return SENSORS[self.sensor].warm_up_s if self.sensor in SENSORS else 0.0

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.duty_cycle and self.sensor not in {"pms5003", "sds011"}:
            raise ValueError(f"`duty_cycle`: a {self.sensor} cannot be put to sleep")
        if self.self_calibration is not None and self.sensor != "mhz19":
            raise ValueError(f"`self_calibration`: a {self.sensor} has none")
        if self.cycles and self.warm_s + self.sample_s >= self.every_s:
            raise ValueError(
                f"`report_s` {self.every_s:g} leaves no time to sleep after {self.warm_s:g} s of warm-up and "
                f"{self.sample_s:g} s of measuring: make it longer, or set `duty_cycle = false`"
            )
        return self
