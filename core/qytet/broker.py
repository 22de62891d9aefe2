"""A broker's URL taken apart: `mqtt://user:password@host:port`, or `mqtts://…` for TLS; passwords never show."""

from dataclasses import dataclass, field
from urllib.parse import unquote, urlsplit

__all__ = ["PORTS", "BrokerUrl"]

PORTS = {"mqtt": 1883, "mqtts": 8883}
"""Schemes, and the port of each that IANA names."""


@dataclass(frozen=True, slots=True)
class BrokerUrl:
    """Where a broker is, whether TLS is spoken there, and who we are to it ("" without a user or a password)."""

    host: str
    port: int
    tls: bool
    user: str = ""
    password: str = field(default="", repr=False)

    @classmethod
    def parse(cls, url: str) -> "BrokerUrl":
        """Take a URL apart. Raises ValueError with the reason, never with the password."""
        try:
            parts = urlsplit(url)
            port = parts.port
        except ValueError:
            raise ValueError("it is malformed") from None  # the original text shows the URL
        if parts.scheme not in PORTS:
            raise ValueError(f"its scheme is {parts.scheme!r}, not mqtt or mqtts")
        if not parts.hostname:
            raise ValueError("it names no host")
        return cls(
            parts.hostname,
            port or PORTS[parts.scheme],
            parts.scheme == "mqtts",
            unquote(parts.username or ""),
            unquote(parts.password or ""),
        )

    def __str__(self) -> str:
        """Host and port, without credentials."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"
