"""The table `[clock]`: who is believed about the time, and for how long."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

__all__ = ["ClockConfig"]


class ClockConfig(BaseModel):
    """Who is believed about the time."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    trust: Literal["auto", "host"] = Field(
        "auto",
        description="auto: the time is known once chrony, systemd-timesyncd, the kernel, a GNSS fix or a "
        "battery-backed clock vouches for it. host: this machine's clock is right from the start (a virtual "
        "machine or a container whose host keeps the time).",
    )
    error_s: float = Field(
        1.0, gt=0, le=60, description="Seconds that chrony's time may be wrong at most and still be believed."
    )
    hold_s: float = Field(
        21_600,
        ge=0,
        le=604_800,
        description="Seconds for which a time that was known stays as good after the last confirmation; "
        "then records say that only this machine's own crystal keeps it (tq rtc).",
    )
    look_s: float = Field(
        10, ge=1, le=300, description="Seconds between two looks at the state of the clock."
    )
