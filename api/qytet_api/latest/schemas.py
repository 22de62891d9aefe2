"""The shapes of newest readings."""

from datetime import datetime

from pydantic import BaseModel, Field

__all__ = ["QUALITY", "TIME_QUALITY", "Latest"]

QUALITY = "QARTOD flag: 1 good, 2 not evaluated, 3 suspect, 4 fail, 9 missing."
TIME_QUALITY = (
    "How the time is known: 0 not at all, 1 the device's own clock, 2 NTP, 3 satellites, 4 its host, "
    "5 dated by the server from a later record of the same boot."
)


class Latest(BaseModel):
    """The newest reading of one datastream."""

    datastream_id: int = Field(description="The datastream's number.")
    city: str = Field(description="The city's short name.")
    site: str = Field(description="The site's short name.")
    device: str = Field(description="The device.")
    profile: str = Field(description="The kind of device.")
    domain: str = Field(description="The property's domain.")
    property: str = Field(description="The observed property.", examples=["pm2_5"])
    channel: str = Field(description="The lane, lamp or phase; may be empty.")
    key: str = Field(description="property, or property:channel.")
    ucum: str = Field(description="The unit, in UCUM.", examples=["ug/m3"])
    phenomenon_time: datetime = Field(description="When it was measured.")
    value: float | None = Field(description="The value in that unit; null if the sensor had none.")
    quality: int = Field(description=QUALITY)
    time_quality: int = Field(description=TIME_QUALITY)
    age_s: float = Field(description="Seconds since it was measured.")
