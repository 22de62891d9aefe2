"""The tables of the configuration that every gateway has, each field described; plug-ins and rules have their own."""

from collections.abc import Mapping
from pathlib import Path
from typing import Literal
from zoneinfo import ZoneInfo

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from qytet.broker import BrokerUrl
from qytet.settings import LogSettings
from qytet_edge.clock.config import ClockConfig
from qytet_edge.hosts import is_here
from qytet_edge.inbox.kinds import Slug

__all__ = ["SECTIONS", "GatewaySection", "HealthSection", "SpoolSection", "UplinkSection"]


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class GatewaySection(_Section):
    """Who this gateway is, and where it keeps what it must not lose."""

    city: Slug = Field(description="The city whose broker it speaks to, as the registry names it.")
    name: Slug = Field(description="Its own device name in the registry; also its broker user unless told.")
    board: str = Field(
        "raspberry-pi", min_length=1, max_length=200, description="What it runs on, for its birth message."
    )
    data_dir: Path = Field(
        Path("/var/lib/qytet-edge"), description="Folder of the spool and the status socket."
    )
    timezone: str = Field("Europe/Tirane", description="Time zone of schedules in rules.")

    @field_validator("timezone")
    @classmethod
    def _known(cls, name: str) -> str:
        try:
            ZoneInfo(name)
        except (OSError, ValueError, KeyError) as error:  # ZoneInfoNotFoundError is a KeyError
            raise ValueError(f"there is no time zone {name!r} on this machine") from error
        return name


class UplinkSection(_Section):
    """The city's broker, and how it is spoken to."""

    url: str = Field(
        description="mqtts://host:8883 (TLS) or mqtt://host:1883, without user or password. Plain mqtt only to this "
        "machine, unless `plain_allowed`."
    )
    user: str = Field("", description="Broker user. Empty: the gateway's name.")
    password_file: Path | None = Field(
        None,
        description="File whose first line is the broker's password. Empty: systemd's credential, or none.",
    )
    ca_file: Path | None = Field(
        None, description="Certificate of the CA that signed the broker's. Empty: the system's CAs."
    )
    cert_file: Path | None = Field(None, description="Client certificate, if the broker asks for one.")
    key_file: Path | None = Field(None, description="Key of the client certificate.")
    plain_allowed: bool = Field(
        False, description="Speak without TLS to another machine, too: only inside a closed network."
    )
    version: Literal["5", "3.1.1"] = Field("5", description="MQTT version; NATS speaks 3.1.1.")
    keepalive_s: int = Field(60, ge=5, le=3600, description="Seconds between signs of life.")
    in_flight: int = Field(200, ge=1, le=5000, description="Messages without the broker's PUBACK, at most.")
    backfill_rate: float = Field(
        2000,
        gt=0,
        le=100_000,
        description="Records a second that are sent after an outage, beside live ones.",
    )
    batch_records: int = Field(200, ge=1, le=1000, description="Records in one backfill message, at most.")
    resend_s: float = Field(
        5, ge=1, le=3600, description="Seconds without a `stored` mark before records go out again; doubles."
    )
    metered: bool = Field(
        False, description="The link is paid by volume: records travel together in batches, not one by one."
    )
    metered_interval_s: float = Field(
        300, ge=10, le=86_400, description="Seconds between two batches on a metered link."
    )

    @model_validator(mode="after")
    def _safe(self) -> "UplinkSection":
        try:
            broker = BrokerUrl.parse(self.url)
        except ValueError as error:
            raise ValueError(f"url must be mqtts://host:port or mqtt://host:port: {error}") from None
        if broker.user or broker.password:
            raise ValueError("url must not hold user or password: use `user` and `password_file`")
        if not broker.tls and not is_here(broker.host) and not self.plain_allowed:
            raise ValueError("url is plain mqtt to another machine: use mqtts, or set plain_allowed = true")
        if bool(self.cert_file) != bool(self.key_file):
            raise ValueError("cert_file and key_file belong together")
        return self


class SpoolSection(_Section):
    """The store of records that the city has not confirmed yet."""

    max_mb: int = Field(
        2048,
        ge=1,
        description="Mebibytes on disk, at most; then the oldest records go, counted. At 148 bytes a record of four "
        "values, 2048 hold 80 hours of 50 records a second. The disk must have the room, and 32 MiB more: a full "
        "disk makes new readings wait instead.",
    )
    max_age_days: float = Field(
        30, gt=0, description="Days that an unconfirmed record is kept, at most; then it goes, counted."
    )
    commit_ms: int = Field(
        250,
        ge=0,
        le=10_000,
        description="Milliseconds to gather readings into one write: more spares the SD card, and delays each "
        "reading by as much.",
    )


class HealthSection(_Section):
    """The gateway's own readings."""

    interval_s: float = Field(
        60, ge=1, le=86_400, description="Seconds between two readings of its own health."
    )


SECTIONS: Mapping[str, type[BaseModel]] = {
    "gateway": GatewaySection,
    "uplink": UplinkSection,
    "spool": SpoolSection,
    "clock": ClockConfig,
    "health": HealthSection,
    "log": LogSettings,
}
