"""Whether the broker can be trusted as the node trusts it: a connection of our own, with the node's own authority."""

import contextlib
import socket
import ssl
import time
from datetime import UTC, datetime
from typing import Any

from qytet_bench.acceptance.check import Check, failed, passed
from qytet_bench.node import NodeSettings

__all__ = ["check_tls"]

_LIMIT_S = 10.0
_DAYS_LEFT = 14
_TITLE = "Encryption"


def check_tls(node: NodeSettings, limit_s: float = _LIMIT_S) -> Check:
    """TLS 1.2 or later, a certificate of the authority on the node for the name that it calls, and days left.

    The node's settings say that it speaks TLS; it verifies always then. Nothing is logged in: the node stays connected.
    """
    broker = node.broker
    name = str(broker.get("name") or broker["host"])
    where = f"{broker['host']}:{broker['port']}"
    expected = f"TLS 1.2 or later at {where}, a certificate for {name}, {_DAYS_LEFT} days or more left"
    if not broker["tls"]:
        do = "Set tls = true and ca under [broker] in bench.toml, and provision the node again."
        return failed("tls", _TITLE, "the node's settings say plain MQTT", expected, do, settled=True)
    try:
        version, certificate = _connect(str(broker["host"]), int(broker["port"]), name, node.ca, limit_s)
    except (OSError, ValueError) as error:
        return failed("tls", _TITLE, _words(error, where), expected, _advice(error))
    left = _days(certificate)
    seen = f"to this bench: {version}, {_subject(certificate)}, {left:.0f} days left"
    if left < _DAYS_LEFT:
        do = "Renew it at the broker: `qytet deploy init --rotate broker-certificate`."
        return failed("tls", _TITLE, seen, expected, do, settled=True)
    return passed("tls", _TITLE, seen, expected)


def _connect(host: str, port: int, name: str, authority: bytes, limit_s: float) -> tuple[str, dict[str, Any]]:
    context = ssl.create_default_context(cadata=authority)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    with (
        socket.create_connection((host, port), limit_s) as plain,
        contextlib.closing(context.wrap_socket(plain, server_hostname=name)) as line,
    ):
        return str(line.version()), dict(line.getpeercert() or {})


def _words(error: Exception, where: str) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"the certificate is not to be trusted: {error.verify_message}"
    if isinstance(error, ssl.SSLError):
        return f"what answers at {where} does not speak TLS as the node does ({error.reason})"
    return f"{where} does not answer: {error}"


def _advice(error: Exception) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return "Compare the node's ca and name in bench.toml with the broker's certificate. Never switch this off."
    if isinstance(error, ssl.SSLError):
        return "Use the broker's TLS port (8883)."
    return "Run this where the broker can be reached, or leave it out: --skip tls."


def _days(certificate: dict[str, Any]) -> float:
    return (ssl.cert_time_to_seconds(str(certificate["notAfter"])) - time.time()) / 86400


def _subject(certificate: dict[str, Any]) -> str:
    names = [value for _, value in certificate.get("subjectAltName", ())]
    until = datetime.fromtimestamp(ssl.cert_time_to_seconds(str(certificate["notAfter"])), UTC)
    return f"for {', '.join(names[:4]) or 'nobody'} until {until:%Y-%m-%d}"
