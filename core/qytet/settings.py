"""The settings: one TOML file and environment variables, each documented where it is declared.

Order, later wins: defaults, the file (`qytet.toml`, or what QYTET_FILE names), secret files (one a setting,
`database__url`, in the folder that QYTET_SECRETS_DIR names), the environment (`QYTET_DATABASE__URL` for
`[database] url`). docs/reference/settings.md is generated from this module.
"""

import os
from functools import cache
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError
from pydantic_settings import (
    BaseSettings,
    NestedSecretsSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

from qytet.errors import SettingsError

__all__ = ["Settings", "file_path", "load", "secrets_dir"]

Port = Annotated[int, Field(ge=1, le=65535)]


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class DatabaseSettings(_Section):
    """Where readings are stored."""

    url: SecretStr = Field(
        SecretStr(""),
        description="libpq URL of PostgreSQL or TimescaleDB, as its owner. Empty: the embedded one.",
    )
    read_url: SecretStr = Field(
        SecretStr(""),
        description="libpq URL for the API's reads, a role that sees views only. Empty: `url` with that role set.",
    )
    pool_size: int = Field(8, ge=1, le=100, description="Connections that the API keeps at most.")


class BrokerSettings(_Section):
    """Where devices publish."""

    url: SecretStr = Field(
        SecretStr(""),
        description="mqtt://user:password@host:port or mqtts://… of the broker. Empty: the embedded one.",
    )
    ca_file: Path | None = Field(
        None, description="CA that signed the broker's certificate (mqtts). Empty: the system's."
    )
    cert_file: Path | None = Field(
        None, description="Client certificate for mqtts, if the broker asks for one."
    )
    key_file: Path | None = Field(None, description="Key of the client certificate.")
    keepalive: int = Field(60, ge=5, le=3600, description="Seconds between signs of life.")


class IngestSettings(_Section):
    """The path from broker to database."""

    client_id: str = Field(
        "qytet-ingest",
        min_length=1,
        max_length=23,
        description="MQTT client id; fixed, as the session hangs on it.",
    )
    city: str = Field("", description="Only this city's devices. Empty: all cities.")
    shard: str = Field(
        "0/1",
        pattern=r"^\d+/[1-9]\d*$",
        description="This worker's part of the devices by hash, as index/count.",
    )
    batch_readings: int = Field(
        50_000, ge=1, le=1_000_000, description="Readings that a batch holds before it is written."
    )
    batch_ms: int = Field(
        100, ge=1, le=60_000, description="Milliseconds after which an unfilled batch is written."
    )
    queue_bytes: int = Field(
        64_000_000,
        ge=1_000_000,
        description="Bytes received and not yet committed, at most; then the broker waits.",
    )
    marks_ms: int = Field(
        250, ge=10, le=60_000, description="Milliseconds between two rounds of `stored` marks."
    )
    latest_ms: int = Field(
        1000, ge=50, le=600_000, description="Milliseconds between two updates of the table of latest values."
    )
    rollup_s: float = Field(
        60.0,
        ge=0,
        le=3600,
        description="Seconds between two refreshes of the rollups on databases without jobs of their own. 0: never.",
    )
    ahead_ms: int = Field(
        300_000, ge=0, description="Milliseconds that a record may lie ahead of the server's clock."
    )
    http_port: Port = Field(8101, description="Port of metrics, health and readiness.")
    http_host: str = Field("127.0.0.1", description="Address of metrics, health and readiness.")


class ApiSettings(_Section):
    """The HTTP API and the first page."""

    host: str = Field(
        "127.0.0.1", description="Address to listen on. Anything but loopback needs `operator_token`."
    )
    port: Port = Field(8100, description="Port to listen on.")
    operator_token: SecretStr = Field(
        SecretStr(""),
        description="Bearer token for what only operators may see (dead letters, raw payloads).",
    )
    page_size: int = Field(
        1000,
        ge=1,
        le=100_000,
        description="Rows of a page when the caller does not say; lists give at most 10,000.",
    )
    flash_folder: Path | None = Field(
        None,
        description="Folder of what `/flash` writes onto boards: `program.json`, `images.json`, images. Empty: none.",
    )


class GrafanaSettings(_Section):
    """A Grafana that runs, for `qytet dashboards push` and its siblings."""

    url: str = Field("", description="https://host[:port][/path] of Grafana, without user and password.")
    token: SecretStr = Field(SecretStr(""), description="Token of a service account of Grafana.")
    ca_file: Path | None = Field(
        None, description="CA that signed Grafana's certificate. Empty: the system's."
    )
    organization: int | None = Field(
        None, ge=1, description="Number of the organisation in Grafana. Empty: the token's own."
    )


class LogSettings(_Section):
    """What is logged, and how."""

    level: Literal["debug", "info", "warning", "error"] = Field(
        "info", description="The least severe line that is written."
    )
    format: Literal["auto", "console", "json"] = Field(
        "auto", description="auto: console on a terminal, JSON lines elsewhere."
    )


class Settings(BaseSettings):
    """All settings. Raises nothing by itself: use `load`."""

    model_config = SettingsConfigDict(
        env_prefix="QYTET_", env_nested_delimiter="__", extra="forbid", frozen=True, toml_file="qytet.toml"
    )

    data_dir: Path = Field(
        Path(".qytet"), description="Where the embedded servers and the demo keep their files."
    )
    language: Literal["sq", "en"] = Field("sq", description="Language of texts for operators and citizens.")
    database: DatabaseSettings = DatabaseSettings()
    broker: BrokerSettings = BrokerSettings()
    ingest: IngestSettings = IngestSettings()
    api: ApiSettings = ApiSettings()
    grafana: GrafanaSettings = GrafanaSettings()
    log: LogSettings = LogSettings()

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Arguments win over the environment, which wins over secret files, which win over the file."""
        secret_files = NestedSecretsSettingsSource(
            file_secret_settings, secrets_dir=secrets_dir(), secrets_dir_missing="error", secrets_prefix=""
        )
        file = TomlConfigSettingsSource(settings_cls, toml_file=file_path())
        return init_settings, env_settings, secret_files, file


def file_path() -> Path:
    """The settings file: what QYTET_FILE names, else `qytet.toml` in the working folder."""
    return Path(os.environ.get("QYTET_FILE", "qytet.toml"))


def secrets_dir() -> Path | None:
    """The folder of secret files (as Docker and systemd mount them): what QYTET_SECRETS_DIR names, if set."""
    named = os.environ.get("QYTET_SECRETS_DIR")
    return Path(named) if named else None


@cache
def load() -> Settings:
    """The settings in force, read once. Raises SettingsError."""
    if "QYTET_FILE" in os.environ and not file_path().is_file():
        raise SettingsError(
            f"The settings file {file_path()} does not exist.",
            why="QYTET_FILE names it.",
            do="Correct or unset QYTET_FILE.",
        )
    folder = secrets_dir()
    if folder is not None and not folder.is_dir():
        raise SettingsError(
            f"The folder of secrets {folder} does not exist.",
            why="QYTET_SECRETS_DIR names it.",
            do="Correct or unset it.",
        )
    try:
        return Settings()
    except ValidationError as error:
        raise SettingsError(_explained(error), do="docs/reference/settings.md lists every setting.") from None
    except (ValueError, OSError) as error:
        raise SettingsError(f"The settings ({file_path()}) cannot be read.", why=str(error)) from error


def _explained(error: ValidationError) -> str:
    """Each wrong setting with its place; never its value, which may be a secret."""
    lines = [
        f"{'.'.join(map(str, item['loc']))}: {item['msg']}" for item in error.errors(include_input=False)
    ]
    return "Settings are wrong: " + "; ".join(lines)
