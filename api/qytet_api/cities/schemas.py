"""The shapes of cities."""

from datetime import datetime

from pydantic import BaseModel, Field

__all__ = ["City"]


class City(BaseModel):
    """A city and how many of its devices are heard."""

    city: str = Field(description="Its short name in addresses.", examples=["durres"])
    name: str = Field(description="Its name in its own language.", examples=["Durrës"])
    time_zone: str = Field(description="Its IANA zone.", examples=["Europe/Tirane"])
    lat: float = Field(description="Latitude in degrees, WGS 84.")
    lon: float = Field(description="Longitude in degrees, WGS 84.")
    devices: int = Field(description="Registered devices.")
    ready: int = Field(description="Devices that are ready and were heard within 45 minutes.")
    sleeping: int = Field(description="Devices that sleep on purpose and were heard within 45 minutes.")
    silent: int = Field(description="All others: offline, lost, or not heard for 45 minutes.")
    seen_at: datetime | None = Field(description="When any device of the city was last heard.")
