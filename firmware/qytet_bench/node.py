"""What one node is told: its identity, network, broker and trust, as the files below `/etc` on its board.

`settings` says what a city's nodes share; a device adds its name, site, profile and board.
"""

import datetime as dt
import json
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from qytet.errors import InputError
from qytet_bench import device_code
from qytet_bench.settings import BenchSettings
from qytet_contract.topics import is_slug

__all__ = ["NodeSettings", "node", "wifi_password"]

_MODULUS_BITS = 2048


@dataclass(frozen=True, slots=True)
class NodeSettings:
    """A node without its credential, which lives in the vault. `site` is for people and the registry only."""

    city: str
    device: str
    site: str
    profile: str
    board: str
    wifi_ssid: str
    wifi_password: str = field(repr=False)
    broker: dict[str, Any]
    ca: bytes = b""
    update_key: str = ""
    more: dict[str, Any] = field(default_factory=dict)
    """Of ntp, report_s, keep_bytes, pins, sensors, outputs: those that differ from the node's defaults."""

    def document(self, password: str) -> dict[str, Any]:
        """`node.json` with this password, checked by the node's own rules. Raises InputError."""
        found = {
            "v": 1,
            "city": self.city,
            "device": self.device,
            "profile": self.profile,
            "board": self.board,
            "wifi": {"ssid": self.wifi_ssid, "password": self.wifi_password},
            "broker": {**self.broker, "user": self.device, "password": password},
            **self.more,
        }
        device_code.kind(device_code.check_settings(found))
        return found

    def files(self, password: str) -> dict[str, bytes]:
        """Path on the board to content. Raises InputError for what the node would refuse."""
        text = json.dumps(self.document(password), ensure_ascii=False, separators=(",", ":"))
        made = {"/etc/node.json": text.encode()}
        if self.ca:
            made["/etc/ca.der"] = self.ca
        if self.update_key:
            made["/etc/update.key"] = self.update_key.encode()
        return made

    @property
    def keep_bytes(self) -> int:
        """How much flash its unsent readings may take."""
        return int(device_code.check_settings(self.document(""))["keep_bytes"])

    @property
    def kind(self) -> device_code.Kind:
        """Profile and board. Raises InputError."""
        return device_code.kind(device_code.check_settings(self.document("")))


def node(
    settings: BenchSettings,
    device: str,
    *,
    city: str = "",
    site: str = "",
    profile: str = "",
    board: str = "",
) -> NodeSettings:
    """A device's settings; what is not given stands in the file. Raises InputError if anything is amiss."""
    common = settings
    made = NodeSettings(
        city=_said("city", city or common.city),
        device=_slug("device", device),
        site=_slug("site", site or common.site) if site or common.site else "",
        profile=_said("profile", profile or common.profile),
        board=board or common.board,
        wifi_ssid=common.wifi.ssid,
        wifi_password=wifi_password(common),
        broker=_broker(common),
        ca=_authority(common),
        update_key=_update_key(common),
        more=_more(common),
    )
    made.document("")
    return made


def _said(what: str, value: str) -> str:
    if not value:
        raise InputError(f"No {what} is given.", do=f"Give --{what}, or set {what} in bench.toml.")
    return _slug(what, value)


def _slug(what: str, value: str) -> str:
    if not is_slug(value):
        raise InputError(f"{value!r} cannot be a {what}.", why="A name has 1 to 64 of a-z, 0-9, - and _.")
    return value


def _broker(settings: BenchSettings) -> dict[str, Any]:
    broker = settings.broker
    named = {"name": broker.name} if broker.name else {}
    return {"host": broker.host, "port": broker.port, "tls": broker.tls, **named}


def _more(settings: BenchSettings) -> dict[str, Any]:
    """Only what is set: the node knows its defaults."""
    names = ("ntp", "report_s", "keep_bytes", "pins", "sensors", "outputs")
    return {name: value for name in names if (value := getattr(settings, name))}


def wifi_password(settings: BenchSettings) -> str:
    """The Wi-Fi's password, from the file or from one of its own. Raises InputError."""
    wifi = settings.wifi
    if not wifi.password_file:
        return wifi.password
    if wifi.password:
        raise InputError("[wifi] has both password and password_file.", do="Keep one of them.")
    return (
        _read("wifi.password_file", settings.path(wifi.password_file)).decode(errors="replace").rstrip("\r\n")
    )


def _authority(settings: BenchSettings) -> bytes:
    """The certificate that the node trusts, DER. Its TLS library reads one certificate only."""
    if not settings.ca:
        if settings.broker.tls:
            raise InputError(
                "The broker speaks TLS, and no authority is named.",
                why="A node without /etc/ca.der connects to nobody.",
                do="Set ca in bench.toml to the deployment's ca.crt (deploy/secrets/broker/ca.crt).",
            )
        return b""
    path = settings.path(settings.ca)
    content = _read("ca", path)
    try:
        found = x509.load_pem_x509_certificates(content)
    except ValueError as error:
        raise InputError(f"{path} is no PEM certificate.", why=str(error)) from error
    if len(found) != 1:
        raise InputError(f"{path} holds {len(found)} certificates.", do="Leave the authority's alone in it.")
    if found[0].not_valid_after_utc < dt.datetime.now(dt.UTC):
        raise InputError(
            f"{path} has expired.",
            why="No node would accept the broker.",
            do="Get the deployment's new ca.crt.",
        )
    return found[0].public_bytes(serialization.Encoding.DER)


def _update_key(settings: BenchSettings) -> str:
    """The public modulus of the key that signs updates, as 512 hexadecimal digits; "" if there is none."""
    if not settings.update_key:
        return ""
    path = settings.path(settings.update_key)
    content = _read("update_key", path)
    text = content.strip().decode(errors="replace")
    if re.fullmatch(r"[0-9a-fA-F]{512}", text):
        return text.lower()
    modulus = _modulus(path, content)
    if modulus.bit_length() != _MODULUS_BITS:
        raise InputError(f"{path} is a key of {modulus.bit_length()} bits, not of {_MODULUS_BITS}.")
    return f"{modulus:0512x}"


def _modulus(path: Path, content: bytes) -> int:
    try:
        if b"PRIVATE KEY" in content:
            key: object = serialization.load_pem_private_key(content, password=None)
        else:
            key = serialization.load_pem_public_key(content)
    except (ValueError, TypeError) as error:
        raise InputError(
            f"{path} is no key for updates.",
            why="It holds neither 512 hexadecimal digits nor a PEM key without password.",
            do="Make one with `qytet bench key --out FILE`.",
        ) from error
    if isinstance(key, rsa.RSAPrivateKey):
        return key.public_key().public_numbers().n
    if isinstance(key, rsa.RSAPublicKey):
        return key.public_numbers().n
    raise InputError(f"{path} is no RSA key.", do="Make one with `qytet bench key --out FILE`.")


def _read(what: str, path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise InputError(
            f"{path} cannot be read.", why=str(error.strerror), do=f"bench.toml names it as {what}."
        ) from error
