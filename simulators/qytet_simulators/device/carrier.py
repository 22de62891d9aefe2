"""One MQTT connection that carries one device or many, driven from outside: it starts no thread.

What waits is bounded: `window` messages in flight, `MAX_LIVE` live records; beyond that a record goes to its
device's backlog and travels as `hist`. Order of departure: greetings (birth, state), live records, backfill.
Only connecting blocks, for at most CONNECT_TIMEOUT seconds.
"""

import random
from collections import deque
from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion

from qytet import log
from qytet_contract import topics
from qytet_simulators.device import session
from qytet_simulators.device.address import Address
from qytet_simulators.device.backlog import MAX_BATCH
from qytet_simulators.device.node import Node
from qytet_simulators.device.record import Record, hist_bytes, obs_bytes
from qytet_simulators.device.session import Manners
from qytet_simulators.device.tally import Latency

__all__ = ["Carrier", "Manners", "Watcher"]

MAX_LIVE = 20_000
CONNECT_TIMEOUT = 5.0  # s, for TCP and TLS; then as long again for CONNACK
RETRY_FIRST, RETRY_MOST = 0.5, 15.0  # s
LOOK = 0.2  # s between two looks at all backlogs, which costs a microsecond a device
QOS = 1


class Watcher(Protocol):
    """Who waits for the sockets of carriers."""

    def opened(self, carrier: "Carrier", sock: Any) -> None:
        """A socket to watch."""

    def closed(self, carrier: "Carrier", sock: Any) -> None:
        """A socket to forget."""


class _Flight(NamedTuple):
    """A message on its way: when it left, whose it is (None: a greeting) and which records it holds."""

    at: float
    node: Node | None
    boot: str = ""
    seqs: tuple[int, ...] = ()


class Carrier:
    """A connection; call `tick` a few times a second, `readable` and `writable` when its socket is."""

    def __init__(
        self,
        address: Address,
        nodes: Sequence[Node],
        watcher: Watcher,
        *,
        client_id: str,
        manners: Manners | None = None,
        latency: Latency | None = None,
    ) -> None:
        self.nodes = list(nodes)
        self.manners = manners or Manners()
        self.acked_after = latency or Latency()
        self.up = False
        self.refusal = ""
        self.connects = 0
        self._address = address
        self._watcher = watcher
        self._by_topic = {node.topic(topics.STORED): node for node in nodes}
        self._window = self.manners.window
        self._flights: dict[int, _Flight] = {}
        self._greetings: deque[tuple[Node, str]] = deque()
        self._live: deque[tuple[Node, str, Record]] = deque()
        self._raw: deque[tuple[Node, str, bytes]] = deque()
        self._dice = random.Random(client_id)
        self._retry = RETRY_FIRST
        self._next_try = 0.0
        self._deadline = 0.0
        self._next_misc = 0.0
        self._next_look = 0.0
        self._tokens = float(MAX_BATCH)
        self._tokens_at = 0.0
        self._turn = 0
        self._closing = False
        self._now = 0.0
        self._log = log.get("simulator")
        self._client = self._make_client(client_id)

    @property
    def in_flight(self) -> int:
        """Messages without a PUBACK."""
        return len(self._flights)

    @property
    def idle(self) -> bool:
        """Whether nothing waits for its turn or for a PUBACK (backlogs aside)."""
        return not (self._flights or self._greetings or self._live or self._raw)

    def submit(self, node: Node, boot: str, record: Record) -> None:
        """Send a record live, or leave it to the backlog if there is no way to."""
        if self.up and node.online and len(self._live) < MAX_LIVE:
            self._live.append((node, boot, record))
        else:
            node.backlog.postpone(boot, record.seq)

    def can_say(self, node: Node) -> bool:
        """Whether `say` would be heard now."""
        return self.up and node.online and len(self._raw) < MAX_LIVE

    def say(self, node: Node, kind: str, payload: bytes) -> None:
        """Send bytes as they are on one of the device's topics; nothing answers for them but QoS 1."""
        self._raw.append((node, kind, payload))

    def rebooted(self, node: Node) -> None:
        """A device has begun a new boot; one with a connection of its own loses it, and its will with it."""
        if len(self.nodes) == 1 and self._client.socket() is not None:
            self._sever()
            self._next_try = 0.0
        else:
            self.greet(node)

    def greet(self, node: Node, state: str = "ready") -> None:
        """Say birth (if ready) and state of one device anew, after a reboot or an absence."""
        if self.up:
            self._greetings.append((node, state))

    def tick(self, now: float) -> None:
        """Do what time asks for: connect, keep alive, resend, backfill. `now`: monotonic seconds."""
        self._now = now
        if self._client.socket() is None:
            if now >= self._next_try and not self._closing and self._wanted():
                self._connect()
            return
        if not self._wanted() or (not self.up and now >= self._deadline):
            self._sever()
        elif now >= self._next_misc:
            self._next_misc = now + 1.0
            self._client.loop_misc()
        self.flush(now)
        if now >= self._next_look:
            self._next_look = now + LOOK
            self._backfill()

    def flush(self, now: float) -> None:
        """Hand over what may go out now: greetings, then live records."""
        self._now = now
        while self.up and self._greetings and self._room():
            self._say_hello(*self._greetings.popleft())
        while self.up and self._raw and self._room():
            node, kind, payload = self._raw.popleft()
            self._publish(node.topic(kind), payload, _Flight(now, None))
            node.tally.messages += 1
        while self.up and self._live and self._room():
            node, boot, record = self._live.popleft()
            node.backlog.sent(boot, (record.seq,), now)
            self._send(node, topics.OBS, obs_bytes(boot, record), boot, (record.seq,))

    def readable(self, now: float) -> None:
        """Read what the broker sent; TLS may hold more than the socket shows."""
        self._now = now
        self._client.loop_read()
        while (sock := self._client.socket()) is not None and session.pending(sock):
            self._client.loop_read()
        self.flush(now)

    def writable(self, now: float) -> None:
        """Write what did not fit before."""
        self._now = now
        self._client.loop_write()

    def wants_write(self) -> bool:
        """Whether bytes wait for the socket."""
        return self._client.want_write()

    def close(self) -> None:
        """Disconnect in order; nothing is published any more."""
        self._closing = True
        if self._client.socket() is not None:
            self._client.disconnect()
            self._client.loop_write()
        self._sever()

    def _wanted(self) -> bool:
        """A connection of one device lives and dies with it; one that carries many is the relay's own."""
        return len(self.nodes) > 1 or self.nodes[0].online

    def _room(self) -> bool:
        return len(self._flights) < self._window

    def _make_client(self, client_id: str) -> paho.Client:
        client = paho.Client(
            CallbackAPIVersion.VERSION2,
            client_id=client_id,
            protocol=session.protocol(self.manners),
            clean_session=session.clean_session(self.manners),
        )
        session.identify(client, self._address, self.nodes[0].name)
        client.connect_timeout = CONNECT_TIMEOUT
        client.max_inflight_messages_set(self.manners.window + 1)
        client.on_connect = self._on_connect
        client.on_disconnect = self._on_disconnect
        client.on_publish = self._on_publish
        client.on_subscribe = self._on_subscribe
        client.on_message = self._on_message
        client.on_socket_open = lambda _client, _data, sock: self._watcher.opened(self, sock)
        client.on_socket_close = lambda _client, _data, sock: self._watcher.closed(self, sock)
        return client

    def _connect(self) -> None:
        self._deadline = self._now + 2 * CONNECT_TIMEOUT
        self._retry = min(self._retry * 2, RETRY_MOST)
        self._next_try = self._now + self._retry * (0.75 + self._dice.random() / 2)
        node = self.nodes[0]
        if len(self.nodes) == 1 and node.boot:
            self._client.will_set(node.topic(topics.STATE), node.state("lost"), QOS, retain=True)
        try:
            session.connect(self._client, self._address, self.manners)
        except (OSError, ValueError) as error:  # ValueError: a TLS handshake that ends early
            self.refusal = str(error) or type(error).__name__
            self._log.info("broker_unreachable", broker=str(self._address), why=self.refusal)

    def _sever(self) -> None:
        """Drop the connection without a word, as a device that loses power does."""
        session.sever(self._client)
        self._lost()

    def _on_connect(self, client: paho.Client, _data: Any, _flags: Any, code: Any, properties: Any) -> None:
        if code.is_failure:
            self.refusal = f"The broker answered: {code}"
            self._log.warning("broker_refused", broker=str(self._address), why=str(code))
            return
        self.up, self.refusal, self._retry = True, "", RETRY_FIRST
        self.connects += 1
        self._window = session.window(self.manners, properties)
        session.subscribe(client, self.nodes)
        self._greetings.extend((node, "ready") for node in self.nodes if node.online and node.boot)
        for node in self.nodes:
            node.backlog.reconnected(self._now)

    def _on_disconnect(self, _client: paho.Client, _data: Any, _flags: Any, _code: Any, _more: Any) -> None:
        self._lost()

    def _lost(self) -> None:
        """What did not leave waits in the backlogs; what is in flight stays with paho, which sends it again."""
        self.up = False
        self._greetings.clear()
        while self._live:
            node, boot, record = self._live.popleft()
            node.backlog.postpone(boot, record.seq)

    def _on_publish(self, _client: paho.Client, _data: Any, mid: int, code: Any, _more: Any) -> None:
        flight = self._flights.pop(mid, None)
        if flight is None or flight.node is None:
            return
        node = flight.node
        if code.is_failure:
            node.tally.refused += 1
            return
        node.tally.acked += 1
        self.acked_after.add(self._now - flight.at)
        node.acked(flight.boot, flight.seqs)

    def _on_subscribe(
        self, _client: paho.Client, _data: Any, _mid: int, codes: list[Any], _more: Any
    ) -> None:
        if any(code.is_failure for code in codes):
            self._log.warning("marks_refused", broker=str(self._address), why=str(codes[0]))

    def _on_message(self, _client: paho.Client, _data: Any, message: paho.MQTTMessage) -> None:
        node = self._by_topic.get(message.topic)
        if node is not None and node.online:
            node.mark(bytes(message.payload), self._now)

    def _say_hello(self, node: Node, state: str) -> None:
        if state == "ready":
            self._publish(node.topic(topics.BIRTH), node.birth(), _Flight(self._now, None), retain=True)
        self._publish(node.topic(topics.STATE), node.state(state), _Flight(self._now, None), retain=True)

    def _send(self, node: Node, kind: str, payload: bytes, boot: str, seqs: tuple[int, ...]) -> None:
        self._publish(node.topic(kind), payload, _Flight(self._now, node, boot, seqs))
        node.tally.messages += 1

    def _publish(self, topic: str, payload: bytes, flight: _Flight, *, retain: bool = False) -> None:
        info = self._client.publish(topic, payload, QOS, retain)
        self._flights[info.mid] = flight  # also if the socket just died: paho keeps it for the next one

    def _backfill(self) -> None:
        """Send what the backlogs want to, each device in turn, within the rate for backfill."""
        rate = self.manners.backfill_rate
        self._tokens = min(self._tokens + (self._now - self._tokens_at) * rate, max(rate, MAX_BATCH))
        self._tokens_at = self._now
        for _ in range(len(self.nodes)):
            if not self.up or not self._room() or self._tokens < 1:
                return
            self._turn = (self._turn + 1) % len(self.nodes)
            node = self.nodes[self._turn]
            if node.online and node.backlog.due <= self._now:
                self._backfill_one(node)

    def _backfill_one(self, node: Node) -> None:
        while self._room() and self._tokens >= 1:
            resent, first = node.backlog.resent, node.backlog.backfilled
            batch = node.backlog.take(self._now, int(min(self._tokens, MAX_BATCH)))
            if batch is None:
                return
            node.tally.resent += node.backlog.resent - resent
            node.tally.backfilled += node.backlog.backfilled - first
            self._tokens -= max(len(batch.seqs), 1)
            self._send(
                node, topics.HIST, hist_bytes(batch.boot, batch.lo, batch.rows), batch.boot, batch.seqs
            )
