"""The shapes of observations."""

from datetime import datetime
from enum import StrEnum

from pydantic import BaseModel, Field

from qytet_api.latest.schemas import QUALITY, TIME_QUALITY

__all__ = ["Aggregate", "Format", "Observation", "Observations", "Order", "Resolution", "Stream"]


class Resolution(StrEnum):
    """raw: each reading. The others: aggregates of readings with flag 1 or 2; a day is a civil day in Europe/Tirane."""

    RAW = "raw"
    QUARTER = "15min"
    HOUR = "hour"
    DAY = "day"


class Order(StrEnum):
    """Oldest or newest first."""

    ASC = "asc"
    DESC = "desc"


class Format(StrEnum):
    """How rows are written."""

    JSON = "json"
    NDJSON = "ndjson"
    CSV = "csv"


class Stream(BaseModel):
    """The datastream that was asked for, with its unit."""

    datastream_id: int = Field(description="Its number.")
    device: str = Field(description="Its device.")
    key: str = Field(description="property, or property:channel.")
    property: str = Field(description="The observed property.")
    channel: str = Field(description="The lane, lamp or phase; may be empty.")
    ucum: str = Field(description="The unit of every value, in UCUM.")
    unit: str = Field(description="The unit as people write it.")


class Observation(BaseModel):
    """One reading."""

    phenomenon_time: datetime = Field(description="When it was measured.")
    value: float | None = Field(description="The value; null if the sensor had none.")
    quality: int = Field(description=QUALITY)
    time_quality: int = Field(description=TIME_QUALITY)


class Aggregate(BaseModel):
    """The readings of one quarter, hour or civil day."""

    phenomenon_time: datetime = Field(description="When the interval begins.")
    total: int = Field(description="All readings in it.")
    n: int = Field(description="Readings with a value and flag 1 or 2; the figures below are made of these.")
    mean: float | None = Field(description="Their mean.")
    min: float | None = Field(description="The lowest.")
    max: float | None = Field(description="The highest.")
    sum: float | None = Field(description="Their sum.")
    first: float | None = Field(description="The earliest.")
    last: float | None = Field(description="The newest.")


class Observations(BaseModel):
    """A page of one datastream's observations."""

    datastream: Stream = Field(description="What was asked for.")
    resolution: Resolution = Field(description="Readings, or which aggregates.")
    items: list[Observation] | list[Aggregate] = Field(description="The rows, in time order.")
    next: str | None = Field(description="Address of the next page, or null after the last one.")
