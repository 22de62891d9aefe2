"""MQTT 3.1.1 brokers as a source: one thread owns the socket, reads large chunks and never blocks on the database.

The session is persistent: what was not acknowledged comes again after a reconnect, and the ledger knows it.
Memory is bounded by `queue_bytes`: beyond it the socket is not read, so the broker keeps its queue itself.
"""

import contextlib
import queue
import random
import selectors
import socket
import ssl
import threading
import time
from dataclasses import dataclass
from pathlib import Path

from qytet import log
from qytet.broker import BrokerUrl
from qytet.errors import ServerError, SettingsError
from qytet_ingest import mqtt_packets as mqtt
from qytet_ingest.source import Chunk

__all__ = ["BrokerError", "MqttSource", "Options"]

_log = log.get("ingest.mqtt")
_READ = 1 << 18
# A broker writes each message by itself: looking a thousand times a second at most takes them together,
# which costs a quarter less processor time under load and half a millisecond of delay.
_GATHER_S = 0.001
_SOCKET_BUFFER = 4 << 20
_CONNECT_S = 10.0
_BACKOFF_S = (0.1, 10.0)
_OUTBOX_BYTES = 16 << 20


class BrokerError(ServerError):
    """The broker cannot be reached, or refuses us."""


@dataclass(frozen=True, slots=True)
class Options:
    """Where and as whom to connect, what to subscribe to, and how much to hold (`queue_bytes`)."""

    url: str
    client_id: str
    filters: tuple[str, ...]
    keepalive: int = 60
    queue_bytes: int = 64_000_000
    ca_file: Path | None = None
    cert_file: Path | None = None
    key_file: Path | None = None


class MqttSource:
    """See `qytet_ingest.source.Source`."""

    def __init__(self, options: Options) -> None:
        self._options = options
        self._address = _address(options.url)
        self._chunks: queue.SimpleQueue[Chunk] = queue.SimpleQueue()  # bounded by `_held`
        self._news = threading.Lock()  # free when something was put since it was last taken
        self._news.acquire()
        self._held = self._held_most = 0
        self._outbox = bytearray()
        self._lock = threading.Lock()
        self._wake_out, self._wake_in = socket.socketpair()
        self._wake_in.setblocking(False)
        self._wake_out.setblocking(False)
        self._stopping = threading.Event()
        self._paused = False
        self._linked = False
        self._connected = False
        self._rest = b""
        self._epoch = 0
        self.last_error = ""
        self.reconnects = 0
        self._thread = threading.Thread(target=self._run, name="ingest-receive", daemon=True)

    @property
    def connected(self) -> bool:
        """Whether the broker has granted the subscription."""
        return self._connected

    @property
    def held_bytes(self) -> int:
        """Bytes received and not yet released."""
        return self._held

    def take_held_most(self) -> int:
        """The most bytes that were held since this was asked last."""
        with self._lock:
            most, self._held_most = self._held_most, self._held
            return most

    def start(self) -> None:
        """Connect and receive, reconnecting for ever; returns at once."""
        self._thread.start()

    def receive(self, timeout: float) -> Chunk | None:
        """The next chunk, or None after `timeout` seconds.

        Waits for the news, not at the queue: SimpleQueue.get takes the time that is left after a signal, if it is
        negative, for no limit at all. A queue.Queue does not, and takes 4 us more a chunk.
        """
        deadline = time.monotonic() + timeout
        while timeout > 0 and self._chunks.empty() and self._news.acquire(timeout=timeout):
            timeout = deadline - time.monotonic()
        try:
            return self._chunks.get_nowait()
        except queue.Empty:
            return None

    def acknowledge(self, epoch: int, tokens: list[int]) -> None:
        """Send PUBACKs, unless the connection they belong to is gone."""
        if tokens:  # never too many to send: the broker bounds what it has in flight, and would wait for them
            self._send(mqtt.pubacks(tokens), epoch)

    def release(self, size: int) -> None:
        """Give back room; the receiving thread reads on if it was waiting for it."""
        with self._lock:
            was_full = self._held >= self._options.queue_bytes
            self._held -= size
        if was_full:
            self._wake()

    def publish(self, messages: list[tuple[bytes, bytes]]) -> bool:
        """Send at QoS 0; False if there is no connection or it does not keep up."""
        if len(self._outbox) > _OUTBOX_BYTES:
            return False
        return self._send(b"".join(mqtt.publish0(topic, payload) for topic, payload in messages), self._epoch)

    def pause(self) -> None:
        """Read nothing more; what was received can still be acknowledged."""
        self._paused = True
        self._wake()

    def stop(self) -> None:
        """Send what is outstanding, disconnect in order and end the thread."""
        self._stopping.set()
        self._wake()
        if self._thread.is_alive():
            self._thread.join(_CONNECT_S + 5)
        self._wake_in.close()
        self._wake_out.close()

    def _send(self, data: bytes, epoch: int) -> bool:
        with self._lock:
            if not self._linked or epoch != self._epoch:
                return False
            self._outbox += data
        self._wake()
        return True

    def _wake(self) -> None:
        with contextlib.suppress(BlockingIOError, OSError):
            self._wake_out.send(b"x")

    def _run(self) -> None:
        """Connect, serve, and connect again, until stopped."""
        delay = _BACKOFF_S[0]
        while not self._stopping.is_set():
            try:
                with self._connect() as connection:
                    self._serve(connection)
            except (OSError, BrokerError, mqtt.FrameError) as error:
                self._note(error)
            except Exception:  # noqa: BLE001 - a defect of ours must not end the receiving unseen
                _log.exception("receiving failed, connecting again")
            finally:
                # A broker that refuses us is not hammered.
                delay = _BACKOFF_S[0] if self._connected else delay
                self._drop()
            if not self._stopping.is_set():
                self._stopping.wait(delay * random.uniform(0.5, 1.0))  # noqa: S311 - jitter, not a secret
                delay = min(delay * 2, _BACKOFF_S[1])
                self.reconnects += 1

    def _note(self, error: Exception) -> None:
        if str(error) != self.last_error:
            _log.warning("broker not reachable, trying on", why=str(error))
        self.last_error = str(error)

    def _drop(self) -> None:
        with self._lock:
            self._linked = self._connected = False
            self._epoch += 1
            self._outbox.clear()

    def _connect(self) -> socket.socket:
        """A connection that has asked to resume its session; the answers come through `_serve`."""
        connection = _open(self._address, self._options)
        try:
            user, password = self._address.user, self._address.password
            connection.sendall(mqtt.connect(self._options.client_id, self._options.keepalive, user, password))
        except BaseException:
            connection.close()
            raise
        connection.setblocking(False)
        self._rest = b""
        return connection

    def _answered(self, kind: int, body: bytes) -> None:
        """CONNACK: acknowledgements may go out, and we subscribe. SUBACK: everything is as it should be."""
        if kind == mqtt.CONNACK:
            if len(body) != 2:
                raise mqtt.FrameError(f"a CONNACK of {len(body)} bytes")
            if body[1]:
                raise BrokerError(
                    f"The broker refuses the connection: {mqtt.REFUSALS.get(body[1], f'code {body[1]}')}."
                )
            with self._lock:
                self._linked = True
                self._outbox += mqtt.subscribe(1, list(self._options.filters))
        elif kind == mqtt.SUBACK:
            if 0x80 in body[2:]:
                raise BrokerError("The broker refuses the subscription.", do="Check this user's ACL.")
            self._connected = True
            self.last_error = ""
            _log.info("broker connected", host=self._address.host, port=self._address.port)

    def _serve(self, connection: socket.socket) -> None:
        """Move bytes both ways until the connection ends or we are stopped."""
        pulse = _Pulse(self._options.keepalive)
        with selectors.DefaultSelector() as selector:
            selector.register(self._wake_in, selectors.EVENT_READ)
            selector.register(connection, selectors.EVENT_READ)
            while True:
                reading = self._may_read()
                self._watch(selector, connection, reading)
                for key, events in selector.select(pulse.wait()):
                    if key.fileobj is self._wake_in:
                        self._drain_wake()
                    elif events & selectors.EVENT_READ and self._may_read() and self._read(connection):
                        pulse.heard()
                if self._write(connection):
                    pulse.spoke()
                if self._stopping.is_set() and self._finished(connection):
                    return
                self._beat(pulse, reading)
                time.sleep(_GATHER_S)

    def _may_read(self) -> bool:
        return not self._paused and self._held < self._options.queue_bytes

    def _watch(self, selector: selectors.BaseSelector, connection: socket.socket, reading: bool) -> None:
        wanted = (selectors.EVENT_READ if reading else 0) | (selectors.EVENT_WRITE if self._outbox else 0)
        known = connection in selector.get_map()
        if wanted and known:
            selector.modify(connection, wanted)
        elif wanted:
            selector.register(connection, wanted)
        elif known:
            selector.unregister(connection)

    def _drain_wake(self) -> None:
        with contextlib.suppress(BlockingIOError):
            self._wake_in.recv(4096)

    def _beat(self, pulse: "_Pulse", reading: bool) -> None:
        if pulse.due():
            with self._lock:
                self._outbox += mqtt.PINGREQ
            pulse.spoke()
        if not reading:
            pulse.excuse()
        elif pulse.dead() or (not self._connected and pulse.age() > _CONNECT_S):
            raise BrokerError("The broker has been silent for too long.")

    def _read(self, connection: socket.socket) -> bool:
        try:
            data = connection.recv(_READ)
        except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
            return False
        if not data:
            raise BrokerError("The broker closed the connection.")
        if isinstance(connection, ssl.SSLSocket):
            while connection.pending():  # bytes that a selector cannot see
                data += connection.recv(_READ)
        self._take(self._rest + data if self._rest else data)
        return True

    def _take(self, buffer: bytes) -> None:
        """Split what was received and hand it over; an unfinished packet waits for its end."""
        topics: list[bytes] = []
        payloads: list[bytes] = []
        tokens: list[int | None] = []
        used, others = mqtt.frames(buffer, topics, payloads, tokens)
        self._rest = buffer[used:]
        for kind, body in others:
            self._answered(kind, body)
        if topics:
            with self._lock:
                self._held += used
                self._held_most = max(self._held_most, self._held)
            self._chunks.put(Chunk(self._epoch, topics, payloads, tokens, used))
            if self._news.locked():  # only this thread frees it
                self._news.release()

    def _write(self, connection: socket.socket) -> bool:
        with self._lock:
            data = bytes(self._outbox[: 1 << 20])
        if not data:
            return False
        try:
            sent = connection.send(data)
        except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
            return False
        with self._lock:
            del self._outbox[:sent]
        return True

    def _finished(self, connection: socket.socket) -> bool:
        if self._outbox:
            return False
        with contextlib.suppress(OSError):
            connection.send(mqtt.DISCONNECT)
        return True


class _Pulse:
    """Signs of life: when to send a ping, and when the broker counts as dead (one and a half keepalives)."""

    def __init__(self, keepalive: int) -> None:
        self._keepalive = keepalive
        self._born = self._spoke = self._heard = time.monotonic()

    def age(self) -> float:
        return time.monotonic() - self._born

    def spoke(self) -> None:
        self._spoke = time.monotonic()

    def heard(self) -> None:
        self._heard = time.monotonic()

    def excuse(self) -> None:
        """While we do not read, the broker's silence is our own."""
        self._born = self._heard = time.monotonic()

    def due(self) -> bool:
        return time.monotonic() - self._spoke >= self._keepalive / 2

    def dead(self) -> bool:
        return time.monotonic() - self._heard >= self._keepalive * 1.5

    def wait(self) -> float:
        return max(0.05, min(_CONNECT_S, self._keepalive / 2 - (time.monotonic() - self._spoke)))


def _address(url: str) -> BrokerUrl:
    try:
        return BrokerUrl.parse(url)
    except ValueError as error:
        raise SettingsError(
            "[broker] url is not a broker's address.",
            why=str(error),
            do="Write mqtt://user:password@host:1883 or mqtts://…",
        ) from None


def _open(address: BrokerUrl, options: Options) -> socket.socket:
    connection = socket.create_connection((address.host, address.port), timeout=_CONNECT_S)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _SOCKET_BUFFER)
    if not address.tls:
        return connection
    try:
        context = ssl.create_default_context(cafile=options.ca_file)
        if options.cert_file is not None:
            context.load_cert_chain(options.cert_file, options.key_file)
        return context.wrap_socket(connection, server_hostname=address.host)
    except OSError:
        connection.close()
        raise
