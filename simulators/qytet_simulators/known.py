"""The broker that a command means: the one that was given, else the settings', else the embedded one that runs here."""

from pathlib import Path

from qytet import settings
from qytet.embedded.where import embedded_broker_url
from qytet.errors import InputError
from qytet_simulators.device.address import Address

__all__ = ["known_address", "known_url"]


def known_url(given: str) -> str:
    """The broker's URL with who we are there. Raises InputError if none is known."""
    known = settings.load()
    url = (
        given
        or known.broker.url.get_secret_value()
        or embedded_broker_url(known.data_dir / "nats", "simulator")
    )
    if not url:
        raise InputError(
            "No broker is known.",
            why="Neither --broker nor the setting [broker] url says where it is, and no embedded one runs.",
            do="Give --broker mqtt://user:password@host:port, or start everything with `make demo`.",
        )
    return url


def known_address(given: str, ca_file: Path | None) -> Address:
    """The same with the authority that signed its certificate: the one given, else the settings'."""
    return Address.parse(known_url(given), ca_file or settings.load().broker.ca_file)
