"""How a connection is set up with paho: protocol versions, credentials, TLS, sessions and subscriptions."""

import contextlib
import socket
import ssl
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import paho.mqtt.client as paho
from paho.mqtt.enums import MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from qytet_contract import topics
from qytet_simulators.device.address import Address
from qytet_simulators.device.node import Node

__all__ = ["Manners"]

SESSION_SECONDS = 7 * 86_400
MANY = 4
"""Devices of one city from which a connection subscribes to the whole city's marks and ignores the others'.

NATS reserves `max_ack_pending` for each subscription with QoS 1 and refuses a session beyond 65,535 in all.
"""
FILTERS_A_PACKET = 100


@dataclass(frozen=True, slots=True)
class Manners:
    """How a connection behaves: messages in flight, seconds of keepalive, records a second of backfill."""

    window: int = 200
    keepalive: int = 60
    persistent: bool = False
    mqtt5: bool = False
    backfill_rate: float = 5000.0


def protocol(manners: Manners) -> MQTTProtocolVersion:
    """The protocol version to speak."""
    return MQTTProtocolVersion.MQTTv5 if manners.mqtt5 else MQTTProtocolVersion.MQTTv311


def clean_session(manners: Manners) -> bool | None:
    """What MQTT 3.1.1 wants at construction; MQTT 5 says it when it connects."""
    return None if manners.mqtt5 else not manners.persistent


def identify(client: paho.Client, address: Address, device: str) -> None:
    """Set user, password and TLS."""
    if address.user:
        client.username_pw_set(address.user_of(device), address.password)
    if address.tls:
        client.tls_set(
            ca_certs=str(address.ca_file) if address.ca_file else None, tls_version=ssl.PROTOCOL_TLS_CLIENT
        )


def connect(client: paho.Client, address: Address, manners: Manners) -> None:
    """Open the socket and send CONNECT. Raises OSError."""
    if not manners.mqtt5:
        client.connect(address.host, address.port, manners.keepalive)
        return
    properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
    if manners.persistent:
        properties.SessionExpiryInterval = SESSION_SECONDS
    client.connect(
        address.host,
        address.port,
        manners.keepalive,
        clean_start=not manners.persistent,
        properties=properties,
    )


def window(manners: Manners, properties: Any) -> int:
    """Messages in flight: our own bound or the broker's, whichever is smaller."""
    theirs = getattr(properties, "ReceiveMaximum", 65_535)
    return min(manners.window, int(theirs))


def subscribe(client: paho.Client, nodes: Sequence[Node]) -> None:
    """Ask for the `stored` marks of these devices, by one filter a device or one for a whole city."""
    by_city: defaultdict[str, list[str]] = defaultdict(list)
    for node in nodes:
        by_city[node.city].append(node.topic(topics.STORED))
    filters: list[str] = []
    for city, own in by_city.items():
        filters += [topics.topic(city, "+", topics.STORED)] if len(own) > MANY else own
    for start in range(0, len(filters), FILTERS_A_PACKET):
        client.subscribe([(name, 1) for name in filters[start : start + FILTERS_A_PACKET]])


def pending(sock: Any) -> bool:
    """Whether TLS has decrypted bytes that the socket does not show as readable."""
    return isinstance(sock, ssl.SSLSocket) and sock.pending() > 0


def sever(client: paho.Client) -> None:
    """Close the socket without a DISCONNECT; paho notices on its next read and keeps what is in flight."""
    sock: Any = client.socket()
    if sock is None:
        return
    with contextlib.suppress(OSError):
        sock.shutdown(socket.SHUT_RDWR)
    client.loop_read()
