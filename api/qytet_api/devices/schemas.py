"""The shapes of devices."""

from datetime import datetime
from enum import StrEnum

from pydantic import BaseModel, Field

__all__ = ["Device", "State"]


class State(StrEnum):
    """What a device said of itself last; `lost` is said by the broker, `unknown` before the first word."""

    READY = "ready"
    SLEEPING = "sleeping"
    OFFLINE = "offline"
    LOST = "lost"
    UNKNOWN = "unknown"


class Device(BaseModel):
    """A device, where it stands, and when it was last heard."""

    device: str = Field(description="Its name, unique in the country.", examples=["tirana-air-01"])
    city: str = Field(description="Its city's short name.")
    site: str = Field(description="Its site's short name.")
    site_name: str = Field(description="Its site's name.")
    lat: float = Field(description="Latitude in degrees, WGS 84.")
    lon: float = Field(description="Longitude in degrees, WGS 84.")
    profile: str = Field(description="The kind of device.", examples=["air_station"])
    gateway: str | None = Field(description="The gateway that relays it, if any.")
    valid_from: datetime | None = Field(description="In service from.")
    valid_to: datetime | None = Field(description="In service until; null: still.")
    state: State = Field(description="What it said of itself last.")
    state_at: datetime | None = Field(description="When it said so.")
    boot: str = Field(description="Its present boot: eight hexadecimal digits, or empty.")
    firmware: str = Field(description="Its firmware, as it says.")
    board: str = Field(description="Its board, as it says.")
    birth_at: datetime | None = Field(description="When it last introduced itself.")
    seen_at: datetime | None = Field(description="When it was last heard.")
    age_s: float | None = Field(description="Seconds since it was last heard.")
