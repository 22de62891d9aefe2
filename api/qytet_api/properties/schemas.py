"""The shapes of observed properties."""

from pydantic import BaseModel, Field

__all__ = ["ObservedProperty"]


class ObservedProperty(BaseModel):
    """A row of the catalogue."""

    property: str = Field(description="Its name in keys.", examples=["pm2_5"])
    domain: str = Field(description="The field it belongs to.", examples=["air_quality"])
    ucum: str = Field(description="The unit, in UCUM.", examples=["ug/m3"])
    unit: str = Field(
        description="The unit as people write it; empty for counts and states.", examples=["µg/m³"]
    )
    fail_min: float = Field(description="Below it a value is impossible (flag 4).")
    fail_max: float = Field(description="Above it a value is impossible (flag 4).")
    suspect_min: float = Field(description="Below it a value is implausible (flag 3).")
    suspect_max: float = Field(description="Above it a value is implausible (flag 3).")
    agg: str = Field(description="How readings become an hourly value.")
    sampling: str = Field(description="How often it is customarily sampled.")
    core: bool = Field(description="Whether it belongs to the core of the catalogue.")
    sdm: str = Field(description="Smart Data Models name; may be empty.")
    cf_name: str = Field(description="CF standard name; may be empty.")
    reference: str = Field(description="The standard or source behind the row.")
