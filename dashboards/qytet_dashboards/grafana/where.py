"""Which Grafana is meant and with which token: the settings, overruled by options; what is unsafe is refused."""

import ipaddress
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import SplitResult, urlsplit

from qytet import settings
from qytet.errors import InputError, SettingsError

__all__ = ["Where", "resolve"]

_SET_URL = "Give --url https://grafana.example, or set QYTET_GRAFANA__URL."


@dataclass(frozen=True)
class Where:
    """An address of Grafana and the token for it; the token is in no repr."""

    scheme: str
    host: str  # brackets included, for IPv6
    port: int | None
    path: str  # "" or "grafana/"
    token: str = field(repr=False)
    ca_file: Path | None = None
    organization: int | None = None

    @property
    def shown(self) -> str:
        """The address as people write it."""
        port = f":{self.port}" if self.port else ""
        return f"{self.scheme}://{self.host}{port}/{self.path}".rstrip("/")


def resolve(url: str = "", token_file: Path | None = None, *, insecure_http: bool = False) -> Where:
    """Where to go. Raises SettingsError or InputError if that is unknown, unsafe or incomplete."""
    said = settings.load().grafana
    parts = _parts(url or said.url)
    _safe(parts, insecure_http)
    host = parts.hostname or ""
    return Where(
        scheme=parts.scheme,
        host=f"[{host}]" if ":" in host else host,
        port=parts.port,
        path=f"{path}/" if (path := parts.path.strip("/")) else "",
        token=_token(token_file),
        ca_file=said.ca_file,
        organization=said.organization,
    )


def _parts(url: str) -> SplitResult:
    if not url:
        raise SettingsError("No Grafana is named.", do=_SET_URL)
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise InputError("The URL of Grafana cannot be read.", why=str(error), do=_SET_URL) from None
    if parts.username is not None or parts.password is not None:
        raise InputError(
            "The URL of Grafana holds a user or a password.",
            why="URLs end up in logs and in lists of processes.",
            do="Take them out and use a token: QYTET_GRAFANA__TOKEN or --token-file.",
        )
    if (
        parts.scheme not in {"http", "https"}
        or not parts.hostname
        or parts.query
        or parts.fragment
        or port == 0
    ):
        # Not repeated: it may hold a password that we did not recognise.
        raise InputError("The URL of Grafana is not of the form https://host[:port][/path].", do=_SET_URL)
    return parts


def _safe(parts: SplitResult, insecure_http: bool) -> None:
    if parts.scheme == "https" or insecure_http or _loopback(parts.hostname or ""):
        return
    raise InputError(
        f"Refused to send the token to {parts.hostname} without encryption.",
        why="The URL begins with http://, and the host is not this machine.",
        do="Use https://. On a network that nobody else can hear, --insecure-http permits it.",
    )


def _loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _token(file: Path | None) -> str:
    """The token of the file, else of the settings. Raises SettingsError."""
    token = _read(file) if file else settings.load().grafana.token.get_secret_value()
    token = token.strip()
    if not token:
        raise SettingsError(
            "There is no token for Grafana." if file is None else f"The token file {file} is empty.",
            do="Set QYTET_GRAFANA__TOKEN, or name a file that holds it with --token-file.",
        )
    if not (token.isascii() and token.isprintable()) or " " in token:
        raise SettingsError(
            "The token for Grafana holds characters that no token has.",
            why="It may be a whole file or two lines; it is not shown here.",
            do="Put the token alone, on one line.",
        )
    return token


def _read(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "It is no text."
        raise SettingsError(f"The token file {file} cannot be read.", why=str(reason)) from None
