"""One MQTT connection from CONNECT to its end: paho on a thread of its own, handed to asyncio event by event.

It never connects again by itself, and it keeps nothing: what has no PUBACK when it ends is its owner's to send
again on the next one. Each connection has a paho client of its own, so that no packet id of an old one is met.
"""

import asyncio
import contextlib
import socket
import threading
from collections.abc import Callable
from typing import Any, NamedTuple

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from qytet.errors import ServerError
from qytet_edge.uplink.address import Address
from qytet_edge.uplink.manners import Manners

__all__ = ["Connection", "Heard", "Message", "Opened", "Will"]

QOS = 1
MOST_IN_FLIGHT = 65_535
LOOP_S = 1.0  # s that the network thread waits for the socket at a time: keepalives are looked after as often


class Will(NamedTuple):
    """What the broker says for us if we vanish; retained."""

    topic: str
    payload: bytes


class Opened(NamedTuple):
    """What the broker granted: messages in flight and bytes of a packet, at most; whether it remembered us."""

    receive_maximum: int
    packet_maximum: int
    session_present: bool


class Message(NamedTuple):
    """What the broker brought. `mid` is what to acknowledge, 0 with QoS 0."""

    topic: str
    payload: bytes
    mid: int


Heard = Callable[[Message], None]
Acked = Callable[[int, str], None]


class Connection:
    """Call `open`, then `publish` and `acknowledge`; `ended` tells why it is over. All from the event loop.

    `heard` gets each message, `acked` each PUBACK's packet id with the broker's refusal ("" if it took the message).
    """

    def __init__(
        self,
        address: Address,
        client_id: str,
        manners: Manners,
        *,
        will: Will | None,
        heard: Heard,
        acked: Acked,
    ) -> None:
        self._address = address
        self._manners = manners
        self._heard = heard
        self._acked = acked
        self._loop = asyncio.get_running_loop()
        self._opened: asyncio.Future[Opened] = self._loop.create_future()
        self.ended: asyncio.Future[str] = self._loop.create_future()
        """Done when the connection is over, with the reason."""
        self._abandoned = threading.Event()
        self._refusal = ""
        self._client: paho.Client | None = None
        self._thread = threading.Thread(target=self._run, args=(client_id, will), name="uplink", daemon=True)

    async def open(self) -> Opened:
        """Connect; returns when the broker has accepted. Raises ServerError."""
        self._thread.start()
        try:
            async with asyncio.timeout(3 * self._manners.connect_s):
                await asyncio.wait((self._opened, self.ended), return_when=asyncio.FIRST_COMPLETED)
        except TimeoutError:
            self._end("no answer in time")
        if self.ended.done():
            self.abandon()
            raise ServerError(
                f"The city's broker at {self._address} cannot be reached.", why=self.ended.result()
            )
        return self._opened.result()

    def subscribe(self, filters: list[tuple[str, int]]) -> None:
        """Ask for these topics with their QoS; a refusal ends the connection."""
        if self._client is not None:
            self._client.subscribe(filters)

    def publish(self, topic: str, payload: bytes, *, retain: bool = False) -> int:
        """Hand a message over with QoS 1; returns its packet id, which `acked` gets later. Never blocks."""
        if self._client is None:
            return 0
        return self._client.publish(topic, payload, QOS, retain).mid

    def acknowledge(self, mid: int) -> None:
        """PUBACK a message that was heard; one with QoS 0 needs none."""
        if mid and self._client is not None:
            self._client.ack(mid, QOS)

    async def close(self, seconds: float) -> None:
        """Disconnect in order, but wait no longer than this."""
        if self._client is not None and not self.ended.done():
            self._client.disconnect()
            await asyncio.wait((self.ended,), timeout=seconds)
        self.abandon()

    def abandon(self) -> None:
        """Cut the line without a word; the broker will speak our will. Never blocks."""
        self._abandoned.set()
        client, self._client = self._client, None
        sock: Any = client.socket() if client is not None else None
        if sock is not None:
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)  # wakes the network thread, which closes it

    def _make_client(self, client_id: str, will: Will | None) -> paho.Client:
        five = self._manners.version == 5
        client = paho.Client(
            CallbackAPIVersion.VERSION2,
            client_id=client_id,
            protocol=MQTTProtocolVersion.MQTTv5 if five else MQTTProtocolVersion.MQTTv311,
            clean_session=None if five else False,
            manual_ack=True,
            reconnect_on_failure=False,
        )
        client.connect_timeout = self._manners.connect_s
        client.max_inflight_messages_set(0)  # no queue of paho's own: the owner counts
        if self._address.user:
            client.username_pw_set(self._address.user, self._address.password or None)
        context = self._address.tls_context()
        if context is not None:
            client.tls_set_context(context)
        if will is not None:
            client.will_set(will.topic, will.payload, QOS, retain=True)
        client.on_connect = self._on_connect
        client.on_subscribe = self._on_subscribe
        client.on_publish = self._on_publish
        client.on_message = self._on_message
        client.on_disconnect = self._on_disconnect
        # With a hook for writing set, paho never writes to the socket from the thread that publishes.
        client.on_socket_register_write = lambda *_: None
        return client

    def _run(self, client_id: str, will: Will | None) -> None:
        """The network thread's whole life."""
        reason, client = "", None
        try:
            # Here, not on the event loop: reading all of the system's CAs takes a while.
            client = self._make_client(client_id, will)
            self._connect(client)
            self._client = client
            code = MQTTErrorCode.MQTT_ERR_SUCCESS
            while code == MQTTErrorCode.MQTT_ERR_SUCCESS and not self._abandoned.is_set():
                code = client.loop(LOOP_S)
            reason = paho.error_string(code)
        except Exception as error:  # noqa: BLE001 (a stranger may answer anything; whatever breaks ends the line)
            number = f"[Errno {error.errno}] " if isinstance(error, OSError) else ""
            reason = str(error).removeprefix(number) or type(error).__name__
        finally:
            if client is not None:
                _let_go(client)
            self._soon(self._end, self._refusal or reason)

    def _connect(self, client: paho.Client) -> None:
        address, keepalive = self._address, self._manners.keepalive
        if self._manners.version != 5:
            client.connect(address.host, address.port, keepalive)
            return
        properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
        properties.SessionExpiryInterval = self._manners.session_s
        client.connect(address.host, address.port, keepalive, clean_start=False, properties=properties)

    def _on_connect(self, _client: Any, _data: Any, flags: Any, code: Any, properties: Any) -> None:
        if code.is_failure:
            self._refusal = f"the broker answered: {code}"
            return
        opened = Opened(
            int(getattr(properties, "ReceiveMaximum", MOST_IN_FLIGHT)),
            int(getattr(properties, "MaximumPacketSize", 0)),
            bool(flags.session_present),
        )
        self._soon(self._is_open, opened)

    def _on_subscribe(self, _client: Any, _data: Any, _mid: int, codes: list[Any], _more: Any) -> None:
        refused = [str(code) for code in codes if code.is_failure]
        if refused:
            self._refusal = f"the broker refused our subscriptions: {refused[0]}"
            self._soon(self.abandon)

    def _on_publish(self, _client: Any, _data: Any, mid: int, code: Any, _more: Any) -> None:
        self._soon(self._acked, mid, str(code) if code.is_failure else "")

    def _on_message(self, _client: Any, _data: Any, message: paho.MQTTMessage) -> None:
        mid = message.mid if message.qos else 0
        self._soon(self._heard, Message(message.topic, bytes(message.payload), mid))

    def _on_disconnect(self, _client: Any, _data: Any, _flags: Any, code: Any, _more: Any) -> None:
        if code.is_failure and not self._refusal:
            self._refusal = str(code)

    def _is_open(self, opened: Opened) -> None:
        if not self._opened.done():
            self._opened.set_result(opened)

    def _end(self, reason: str) -> None:
        if not self.ended.done():
            self.ended.set_result(reason)

    def _soon(self, act: Callable[..., None], *args: Any) -> None:
        with contextlib.suppress(RuntimeError):  # the event loop is gone, and with it whoever wanted to know
            self._loop.call_soon_threadsafe(act, *args)


def _let_go(client: paho.Client) -> None:
    """Close the socket and break the circle of client and callbacks, so that paho's own sockets close, too."""
    sock: Any = client.socket()
    if sock is not None:
        with contextlib.suppress(OSError):
            sock.close()
    client.on_connect = client.on_subscribe = client.on_publish = None
    client.on_message = client.on_disconnect = None
