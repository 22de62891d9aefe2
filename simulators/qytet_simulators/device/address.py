"""Where a broker is and who we are there, from a URL: `mqtt://user:password@host:port` or `mqtts://…`."""

from dataclasses import dataclass, field
from pathlib import Path

from qytet.broker import BrokerUrl
from qytet.errors import InputError

__all__ = ["Address"]

_DEVICE = "{device}"


@dataclass(frozen=True, slots=True)
class Address:
    """A broker's address. `{device}` in the user stands for the name of a connection's only device."""

    host: str
    port: int
    user: str = ""
    password: str = field(default="", repr=False)
    tls: bool = False
    ca_file: Path | None = None

    @classmethod
    def parse(cls, url: str, ca_file: Path | None = None) -> "Address":
        """Read a URL. Raises InputError, which never shows the password."""
        try:
            parts = BrokerUrl.parse(url)
        except ValueError as error:
            raise InputError("The broker's URL cannot be used.", why=str(error), do=_EXAMPLE) from None
        if ca_file and not ca_file.is_file():
            raise InputError(f"The CA file {ca_file} does not exist.")
        return cls(parts.host, parts.port, parts.user, parts.password, parts.tls, ca_file)

    @property
    def per_device(self) -> bool:
        """Whether each device logs in under its own name, hence on a connection of its own."""
        return _DEVICE in self.user

    def user_of(self, device: str) -> str:
        """The user name of the connection that carries `device`."""
        return self.user.replace(_DEVICE, device)

    def __str__(self) -> str:
        """Host and port, without credentials."""
        return f"{self.host}:{self.port}"


_EXAMPLE = "Write it as mqtt://user:password@host:1883, or mqtts:// with --ca-file for TLS."
