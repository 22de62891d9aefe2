"""The shapes of records without a time."""

from datetime import datetime

from pydantic import BaseModel, Field

__all__ = ["Undated"]


class Undated(BaseModel):
    """A record made before the device's clock was set; it waits for a later record of the same boot."""

    device: str = Field(description="The device.")
    boot: str = Field(description="The boot.")
    seq: int = Field(description="Its sequence number.")
    up_ms: int = Field(description="Milliseconds since boot when it was made.")
    m: dict[str, float | None] = Field(description="Its readings by key, each in its property's unit.")
    received_at: datetime = Field(description="When it arrived.")
