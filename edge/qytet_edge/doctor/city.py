"""Checks of the way to the city: name, port, certificate, user and rights at the broker, and the first stored mark."""

import asyncio
import dataclasses
import socket
import ssl
from typing import Any

from qytet.broker import BrokerUrl
from qytet.doctor.finding import Finding, ok, problem, warning
from qytet.doctor.mqtt import ClosedError, Link, RefusedError
from qytet.errors import QytetError
from qytet_contract import topics
from qytet_edge.doctor.scene import Scene
from qytet_edge.gateway import address
from qytet_edge.uplink import Address

__all__ = ["broker", "registered"]

_LIMIT_S = 5.0
_MOST = 10  # devices named one by one
_PATIENCE_S = 120.0  # a mark follows a record within seconds; health alone makes one a minute


async def broker(scene: Scene) -> list[Finding]:
    """Log in as the gateway does (beside the running one, under another client id) and ask for its marks."""
    try:
        where = dataclasses.replace(address(scene.config), password=scene.password())
    except QytetError as error:
        return [problem(f"{error.what} {error.why}".strip(), error.do)]
    if scene.running and scene.running["uplink"]["connected"]:
        return [ok(f"the gateway is connected to {where}")]
    return [await asyncio.to_thread(_log_in, scene, where)]


def registered(scene: Scene) -> list[Finding]:
    """Whether the city stores what the gateway sends: only a mark proves that a device is registered there."""
    if not scene.running:
        return [
            warning(
                "the gateway does not run: the city cannot confirm anything",
                "sudo systemctl start qytet-edge",
            )
        ]
    uplink = scene.running["uplink"]
    name = scene.config.gateway.name
    if uplink["unconfirmed"]:
        return [_unconfirmed(name, one) for one in uplink["unconfirmed"][:_MOST]]
    if uplink["last_mark_s"] is not None and uplink["last_mark_s"] < 10 * _PATIENCE_S:
        return [ok(f"the city confirmed records {uplink['last_mark_s']:.0f} s ago")]
    if not uplink["connected"]:
        return [
            warning("the city confirms nothing while the broker is out of reach", "See the broker's check.")
        ]
    if uplink["since_s"] < _PATIENCE_S:
        return [warning("connected, and nothing confirmed yet", "Ask again in two minutes.")]
    return [
        problem(
            "the broker takes records, and the city confirms none",
            f"Ask the city whether {name} is registered (`qytet device show {name}`) and ingest runs.",
        )
    ]


def _unconfirmed(gateway: str, told: dict[str, Any]) -> Finding:
    device = told["device"]
    behind = "" if device == gateway else f' with gateway = "{gateway}"'
    return problem(
        f"the city has confirmed nothing of {device} for {told['for_s'] / 60:.0f} min ({told['records']} waiting)",
        f"Ask the city: is {device} registered{behind} (qytet device show {device}), what became of its messages "
        f"(qytet deadletter list --device {device}), does ingest run? Nothing is lost meanwhile.",
    )


def _log_in(scene: Scene, where: Address) -> Finding:
    target = BrokerUrl(where.host, where.port, where.tls, where.user, where.password)
    mark = topics.topic(scene.config.gateway.city, scene.config.gateway.name, topics.STORED)
    try:
        with Link(
            target,
            ca_file=where.ca_file,
            cert_file=where.cert_file,
            key_file=where.key_file,
            timeout=_LIMIT_S,
        ) as link:
            link.subscribe(mark)
    except (OSError, ssl.SSLError) as error:
        return _explained(error, where)
    return ok(f"{where.user or 'anonymous'} is let in at {where}, and may hear the city's marks")


def _explained(error: OSError, where: Address) -> Finding:
    if isinstance(error, FileNotFoundError | PermissionError) and error.filename:
        return problem(
            f"{error.filename}: {error.strerror}", "Correct the path in [uplink], or its permissions."
        )
    if isinstance(error, ssl.SSLCertVerificationError):
        return problem(
            f"{where}: its certificate is not trusted: {error.verify_message}",
            "Set [uplink] ca_file to the city's CA, and the host to the name in the certificate; a clock that is "
            "wrong by years has the same effect.",
        )
    if isinstance(error, ssl.SSLError):
        return problem(
            f"{where} does not speak TLS: {error.reason}", "Use the broker's TLS port in [uplink] url."
        )
    if isinstance(error, ConnectionResetError | ClosedError):
        return problem(
            f"{where} closes the connection", "Is it TLS (mqtts://) or not? Correct [uplink] url or the port."
        )
    if isinstance(error, RefusedError):
        return problem(f"{where}: {error}", "Correct [uplink] user and its password, as the city gave them.")
    if isinstance(error, socket.gaierror):
        return problem(
            f"the host {where.host} is not known",
            "Check the name in [uplink] url, and the network (ip addr; ping).",
        )
    if isinstance(error, TimeoutError):
        return problem(f"{where} does not answer", "Check the network, the port, and firewalls on the way.")
    return problem(
        f"{where}: {error.strerror or error}", "Check host and port in [uplink] url, and the network."
    )
