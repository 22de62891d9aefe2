"""The table of a deployment's credentials: which file holds each, and which files are derived from it.

A credential is a random password in one file; URLs and option files are rendered from it, so that whatever
is missing of a half-written deployment can be made again from what is there.
"""

from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import quote

__all__ = ["BROKER_USERS", "CREDENTIALS", "SET_ONCE", "Credential"]

Render = Callable[[str], str]


@dataclass(frozen=True, slots=True)
class Credential:
    """A random secret: its name for `--rotate`, its file below `secrets`, and files rendered from it."""

    name: str
    file: str
    derived: tuple[tuple[str, Render], ...] = ()
    broker_user: str = ""
    after_rotation: str = ""


def _database_url(user: str) -> Render:
    return lambda password: f"postgresql://{user}:{quote(password, safe='')}@database:5432/qytet"


def _broker_url(user: str) -> Render:
    return lambda password: f"mqtts://{user}:{quote(password, safe='')}@broker:8883"


def _health_options(password: str) -> str:
    """Read by mosquitto_sub as $XDG_CONFIG_HOME/mosquitto_sub: no password on a command line."""
    return f"-u health\n-P {password}\n"


_ROLES_AGAIN = "docker compose up -d --force-recreate roles migrate ingest api"

CREDENTIALS = (
    Credential(
        "database-admin", "database_admin_password", (("database_admin_url", _database_url("postgres")),)
    ),
    Credential(
        "database-owner",
        "database_owner_password",
        (("database_owner_url", _database_url("qytet")),),
        after_rotation=_ROLES_AGAIN,
    ),
    Credential(
        "database-reader",
        "database_reader_password",
        (("database_reader_url", _database_url("qytet_reader")),),
        after_rotation=_ROLES_AGAIN,
    ),
    Credential(
        "database-dashboards",
        "database_dashboards_password",
        (("database_dashboards_url", _database_url("qytet_dashboards_reader")),),
        after_rotation="docker compose up -d --force-recreate roles grafana",
    ),
    Credential(
        "broker-ingest",
        "broker_ingest_password",
        (("broker_ingest_url", _broker_url("ingest")),),
        broker_user="ingest",
        after_rotation="docker compose up -d --force-recreate broker ingest",
    ),
    Credential(
        "broker-health",
        "broker_health_password",
        (("broker/mosquitto_sub", _health_options),),
        broker_user="health",
        after_rotation="docker compose up -d --force-recreate broker",
    ),
    Credential(
        "operator-token", "api_operator_token", after_rotation="docker compose up -d --force-recreate api"
    ),
    Credential("grafana-admin", "grafana_admin_password"),
)

BROKER_USERS = tuple(credential.broker_user for credential in CREDENTIALS if credential.broker_user)

# Their servers read the file once, when their data folder is new; later the server itself has to be told.
SET_ONCE = {
    "database-admin": "docker compose exec database psql -U postgres -c '\\password postgres', then write it to"
    " deploy/secrets/database_admin_password and run `qytet deploy init`.",
    "grafana-admin": "docker compose exec grafana grafana cli admin reset-admin-password --password-from-stdin",
}
