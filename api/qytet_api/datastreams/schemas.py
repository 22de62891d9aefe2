"""The shapes of datastreams."""

from datetime import datetime

from pydantic import BaseModel, Field

__all__ = ["Datastream"]


class Datastream(BaseModel):
    """One property of one channel of one device, for as long as the same sensor measures it."""

    datastream_id: int = Field(description="Its number, by which observations are asked for.")
    device: str = Field(description="Its device.")
    city: str = Field(description="Its city's short name.")
    site: str = Field(description="Its site's short name.")
    profile: str = Field(description="The kind of device.")
    property: str = Field(description="The observed property.", examples=["pm2_5"])
    channel: str = Field(description="The lane, lamp or phase; empty if there is only one.")
    key: str = Field(description="property, or property:channel.", examples=["vehicle_count:lane2"])
    domain: str = Field(description="The property's domain.", examples=["air_quality"])
    ucum: str = Field(description="The unit, in UCUM.", examples=["ug/m3"])
    agg: str = Field(description="How readings become an hourly value.", examples=["mean"])
    fail_min: float = Field(description="Below it a value is impossible (flag 4).")
    fail_max: float = Field(description="Above it a value is impossible (flag 4).")
    suspect_min: float = Field(description="Below it a value is implausible (flag 3).")
    suspect_max: float = Field(description="Above it a value is implausible (flag 3).")
    valid_from: datetime | None = Field(description="First instant of the datastream.")
    valid_to: datetime | None = Field(description="End of the datastream; null: it goes on.")
