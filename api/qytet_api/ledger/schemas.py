"""The shapes of the delivery ledger."""

from datetime import datetime
from typing import Literal

from pydantic import BaseModel, Field

__all__ = ["Delivery", "Gap", "Totals"]


class Totals(BaseModel):
    """What became of all records, counted in records (a record holds one or more readings)."""

    boots: int = Field(description="Boots of devices in the ledger.")
    received: int = Field(description="Records committed.")
    rejected: int = Field(description="Records kept, wholly or in part, as dead letters.")
    dropped: int = Field(description="Records that the device itself said it no longer holds.")
    missing: int = Field(description="Records that must exist and have not arrived.")
    duplicates: int = Field(description="Records that came once more; nothing was stored twice.")
    late: int = Field(description="Records that came after a newer one.")


class Delivery(BaseModel):
    """What became of the records of one boot of one device. Sequence numbers begin at 1."""

    device: str = Field(description="The device.")
    city: str = Field(description="Its city's short name.")
    boot: str = Field(description="The boot: eight hexadecimal digits.", examples=["9f3a01c2"])
    last_seq: int = Field(description="The highest sequence number heard of.")
    stored_mark: int = Field(description="Up to here every record is accounted for.")
    received: int = Field(description="Records committed.")
    rejected: int = Field(description="Records kept, wholly or in part, as dead letters.")
    dropped: int = Field(description="Records that the device itself said it no longer holds.")
    missing: int = Field(description="Records below `last_seq` that have not arrived.")
    duplicates: int = Field(description="Records that came once more.")
    late: int = Field(description="Records that came after a newer one.")
    first_seen: datetime = Field(description="When the boot was first heard of.")
    last_seen: datetime = Field(description="When the boot was last heard of.")


class Gap(BaseModel):
    """A run of sequence numbers that is not stored."""

    device: str = Field(description="The device.")
    city: str = Field(description="Its city's short name.")
    boot: str = Field(description="The boot.")
    state: Literal["missing", "dropped"] = Field(
        description="missing: may still come; dropped: the device has it no more."
    )
    first_seq: int = Field(description="First sequence number of the run.")
    last_seq: int = Field(description="Last sequence number of the run.")
    records: int = Field(description="How many records that is.")
    last_seen: datetime = Field(description="When the boot was last heard of.")
