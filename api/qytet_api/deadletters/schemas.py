"""The shapes of dead letters."""

from datetime import datetime

from pydantic import BaseModel, Field

__all__ = ["DeadLetter", "DeadLetterWhole"]


class DeadLetter(BaseModel):
    """A message that could not be stored, without its bytes."""

    dead_letter_id: int = Field(description="Its number.")
    first_seen: datetime = Field(description="When it first arrived.")
    last_seen: datetime = Field(description="When it last arrived.")
    seen: int = Field(description="How often it arrived.")
    topic: str = Field(description="The MQTT topic it came by.")
    payload_bytes: int = Field(description="Its length in bytes.")
    reason: str = Field(
        description="Why it was refused: a code of the contract.", examples=["unknown_device"]
    )
    detail: str = Field(description="Where in the message; may be empty.")
    device: str = Field(description="The device that the topic claims; it may not exist.")
    replayed_at: datetime | None = Field(description="When it was replayed; null: open.")
    outcome: str | None = Field(description="What the replay came to.")


class DeadLetterWhole(DeadLetter):
    """A message that could not be stored, with its bytes."""

    payload_base64: str = Field(description="Its bytes, exactly, in base64.")
    payload_text: str = Field(description="Its bytes as text; what is not UTF-8 is shown as �.")
