"""The gateway's connection to the local broker: what nodes say comes in batches, acknowledged only when told to.

paho's network thread hands messages to the event loop. MQTT 5 bounds what is not acknowledged (Receive Maximum);
messages with QoS 0, which promise nothing, are dropped when too many wait. An acknowledgement belongs to the
connection that brought the message: after a reconnect the broker sends the message again, under the same session.
"""

import asyncio
import contextlib
import socket
import ssl
import threading
from collections import deque
from types import TracebackType
from typing import Any, NamedTuple, Self

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.subscribeoptions import SubscribeOptions

from qytet_edge.uplink.address import Address

__all__ = ["LocalBroker", "Message"]

SESSION_S = 7 * 86_400
KEEPALIVE_S = 30
RECONNECT_S = (1, 15)  # first and longest pause
GOODBYE_S = 3.0  # that an orderly end may take
MOST_OUT = 256  # marks and commands that wait for the broker's PUBACK


class Message(NamedTuple):
    """What came: `epoch` and `mid` are for its acknowledgement (`mid` 0: QoS 0, none)."""

    topic: str
    payload: bytes
    mid: int
    epoch: int


class LocalBroker:
    """A connection that comes back by itself; an async context manager.

    `troubles` collects, bounded, what went wrong since it was last emptied.
    """

    def __init__(
        self, address: Address, client_id: str, filters: list[str], *, window: int, session_s: int = SESSION_S
    ) -> None:
        self.connected = False
        self.troubles: deque[str] = deque(maxlen=16)
        self._address = address
        self._filters = filters
        self._window = window
        self._session_s = session_s
        self._waiting: deque[Message] = deque()
        self._wake = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        self._epoch = 0
        self._client = self._make_client(client_id)

    async def __aenter__(self) -> Self:
        self._client.connect_async(
            self._address.host,
            self._address.port,
            KEEPALIVE_S,
            clean_start=not self._session_s,
            properties=self._connect_properties(),
        )
        self._client.loop_start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        await asyncio.to_thread(self._stop)

    async def batch(self, seconds: float) -> list[Message]:
        """All that waits; empty if nothing came within so many seconds, or at once if the connection changed."""
        if not self._waiting:
            self._wake.clear()
            try:
                async with asyncio.timeout(seconds):
                    await self._wake.wait()
            except TimeoutError:
                return []
        found: list[Message] = []
        while self._waiting:
            with contextlib.suppress(IndexError):  # a reconnect has just cleared it
                found.append(self._waiting.popleft())
        return found

    def ack(self, messages: list[Message]) -> None:
        """The messages are safe here: the broker may forget them."""
        for message in messages:
            if message.mid and message.epoch == self._epoch:
                self._client.ack(message.mid, 1)

    def publish(self, topic: str, payload: bytes) -> bool:
        """Send with QoS 1; False if there is no connection, or too much waits for it."""
        if not self.connected:
            return False
        return self._client.publish(topic, payload, 1).rc == paho.MQTT_ERR_SUCCESS

    def _make_client(self, client_id: str) -> paho.Client:
        client = paho.Client(
            CallbackAPIVersion.VERSION2,
            client_id=client_id,
            protocol=MQTTProtocolVersion.MQTTv5,
            manual_ack=True,
        )
        if self._address.user:
            client.username_pw_set(self._address.user, self._address.password)
        tls: ssl.SSLContext | None = self._address.tls_context()
        if tls is not None:
            client.tls_set_context(tls)
        client.reconnect_delay_set(*RECONNECT_S)
        client.max_queued_messages_set(MOST_OUT)
        client.on_connect = self._on_connect
        client.on_connect_fail = self._on_connect_fail
        client.on_disconnect = self._on_disconnect
        client.on_subscribe = self._on_subscribe
        client.on_message = self._on_message
        return client

    def _connect_properties(self) -> Properties:
        properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
        properties.SessionExpiryInterval = self._session_s
        properties.ReceiveMaximum = self._window
        return properties

    def _stop(self) -> None:
        """End in order; a broker that does not take our goodbye in time is left without one."""
        self._client.disconnect()
        late = threading.Timer(GOODBYE_S, self._sever)
        late.start()
        self._client.loop_stop()
        late.cancel()
        late.join()

    def _sever(self) -> None:
        sock: Any = self._client.socket()
        if sock is not None:
            with contextlib.suppress(OSError):  # it has just ended by itself
                sock.shutdown(socket.SHUT_RDWR)

    # What follows runs in paho's thread.

    def _on_connect(self, client: paho.Client, _data: Any, flags: Any, code: Any, _more: Any) -> None:
        self._epoch += 1
        if code.is_failure:
            self._tell(f"the local broker {self._address} refuses us: {code}")
            return
        if flags.session_present:
            self._waiting.clear()  # they come again, with numbers of this connection
        options = SubscribeOptions(qos=1, noLocal=True)
        client.subscribe([(name, options) for name in self._filters])

    def _on_subscribe(self, _client: paho.Client, _data: Any, _mid: int, codes: Any, _more: Any) -> None:
        refused = [name for name, code in zip(self._filters, codes, strict=False) if code.is_failure]
        if refused:
            self._tell(f"the local broker {self._address} does not let us read {', '.join(refused)}")
            return
        self.connected = True
        self._loop.call_soon_threadsafe(self._wake.set)

    def _on_connect_fail(self, _client: paho.Client, _data: Any) -> None:
        self._tell(f"the local broker {self._address} does not answer")

    def _on_disconnect(self, _client: paho.Client, _data: Any, _flags: Any, code: Any, _more: Any) -> None:
        self._epoch += 1
        self.connected = False
        if code.is_failure:
            self._tell(f"the connection to the local broker {self._address} ended: {code}")

    def _on_message(self, _client: paho.Client, _data: Any, message: paho.MQTTMessage) -> None:
        if message.qos == 0 and len(self._waiting) >= self._window:
            self._tell("messages with QoS 0 come faster than they can be kept, some are not; use QoS 1")
            return
        try:
            topic = message.topic
        except UnicodeDecodeError:  # the broker should have refused it
            self._client.ack(message.mid, 1)
            return
        mid = message.mid if message.qos else 0
        self._waiting.append(Message(topic, bytes(message.payload), mid, self._epoch))
        self._loop.call_soon_threadsafe(self._wake.set)

    def _tell(self, what: str) -> None:
        self.troubles.append(what)
        self._loop.call_soon_threadsafe(self._wake.set)
