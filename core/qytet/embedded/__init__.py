"""The servers that come with the platform, run from folders of ours: PostgreSQL and a NATS broker."""

from qytet.embedded._errors import (
    AlreadyRunningError,
    DataFolderError,
    EmbeddedError,
    MissingServerError,
    PortTakenError,
    StartError,
)
from qytet.embedded.nats import EmbeddedNats
from qytet.embedded.postgres import EmbeddedPostgres

__all__ = [
    "AlreadyRunningError",
    "DataFolderError",
    "EmbeddedError",
    "EmbeddedNats",
    "EmbeddedPostgres",
    "MissingServerError",
    "PortTakenError",
    "StartError",
]
