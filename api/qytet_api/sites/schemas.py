"""The shapes of sites."""

from pydantic import BaseModel, Field

__all__ = ["Site"]


class Site(BaseModel):
    """A place in a city where devices stand."""

    city: str = Field(description="Its city's short name.")
    site: str = Field(description="Its short name within the city.", examples=["sheshi-skenderbej"])
    name: str = Field(description="Its name as people know it.")
    lat: float = Field(description="Latitude in degrees, WGS 84.")
    lon: float = Field(description="Longitude in degrees, WGS 84.")
    height_m: float | None = Field(description="Metres above sea level, if known.")
