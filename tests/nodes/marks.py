"""What passes the broker of one node's numbering: sent, stored, answered; for whoever waits for it."""

import json
import threading
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any, Self

import paho.mqtt.client as mqtt

from qytet_simulators.hardware.wall import Wall
from tests.core.mqtt_client import Client
from tests.servers.mosquitto import MosquittoServer

__all__ = ["Marks", "Watcher"]

_MARK_S = 2.0
"""Real seconds that a record may be on its way through broker, ingest and database while the board's time waits."""
_AHEAD_US = 60_000_000
"""How far the board's time may run ahead of servers that are at work: a node sends again after two minutes."""


class Marks:
    """`sent` and `stored`: the highest number of each boot. `answers` to commands by their ids: rows of state and why.

    `now_us` is the board's time.
    """

    def __init__(self, now_us: Callable[[], int] = lambda: 0) -> None:
        self.sent: dict[str, int] = {}
        self.stored: dict[str, int] = {}
        self.answers: dict[str, list[tuple[str, str]]] = {}
        self._now_us = now_us
        self._wall = Wall()  # what the whole machine sleeps through is taken from no server
        self._moves = self._seen_moves = 0
        self._moved_at = 0.0
        self._behind_since_us: int | None = None
        self._news = threading.Condition()

    @property
    def drained(self) -> bool:
        """Whether everything that was sent has its mark."""
        return all(self.stored.get(boot, 0) >= seq for boot, seq in self.sent.items())

    def holds(self) -> bool:
        """Whether the board's time is so far ahead that it should wait, for as long as servers may take."""
        now, moves, since = self._wall.now(), self._moves, self._behind_since_us
        if moves != self._seen_moves:
            self._seen_moves, self._moved_at = moves, now
        ahead = since is not None and self._now_us() - since > _AHEAD_US
        return ahead and now - self._moved_at < _MARK_S

    def answer(self, ident: str) -> str:
        """How a command ended: done or failed; "" while it has not."""
        return next((state for state, _ in self.answers.get(ident, []) if state != "accepted"), "")

    def wait_for(self, done: Callable[[], bool], deadline_s: float) -> None:
        """Return once that is so. Raises TimeoutError."""
        with self._news:
            if not self._news.wait_for(done, deadline_s):
                raise TimeoutError(f"sent {self.sent}, stored {self.stored}, after {deadline_s} s")

    def take(self, topic: str, payload: bytes) -> None:
        """A message of the node's topics."""
        kind = topic.split("/")[4]
        if kind not in ("obs", "hist", "stored", "ack"):
            return
        said = json.loads(payload)
        with self._news:
            if kind == "ack":
                ident = topic.rpartition("/")[2]
                self.answers.setdefault(ident, []).append((said["s"], said.get("why", "")))
            else:
                self._count(kind, said)
            self._news.notify_all()

    def _count(self, kind: str, said: Mapping[str, Any]) -> None:
        table = self.stored if kind == "stored" else self.sent
        numbers = [row[0] for row in said["r"]] if kind == "hist" else [said["seq"]]
        table[said["boot"]] = max([table.get(said["boot"], 0), *numbers])
        self._moves += 1
        if kind == "stored" or self.drained:
            self._behind_since_us = None
        if not self.drained and self._behind_since_us is None:
            self._behind_since_us = self._now_us()


class Watcher:
    """Listens to a node's topics with the rights of ingest, and sends commands; a context manager."""

    def __init__(self, broker: MosquittoServer, marks: Marks, city: str, node: str) -> None:
        self._broker, self._marks, self._topic = broker, marks, f"qytet/v1/{city}/{node}"
        self._client: Client | None = None

    def __enter__(self) -> Self:
        self.listen()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.deafen()

    def listen(self) -> None:
        """Begin, also anew after the broker was killed."""
        self._client = Client(self._broker, "ingest", "watcher")
        self._client.mqtt.on_message = self._on_message
        self._client.subscribe(f"{self._topic}/#")

    def deafen(self) -> None:
        """End that."""
        client, self._client = self._client, None
        if client is not None:
            client.__exit__()

    def order(self, ident: str, name: str, args: Mapping[str, Any], expires_ms: int) -> None:
        """Send the node a command, as the platform does."""
        assert self._client is not None, "nobody listens"
        payload = json.dumps({"v": 1, "cmd": name, "exp": expires_ms, "args": dict(args)})
        self._client.mqtt.publish(f"{self._topic}/cmd/{ident}", payload, 1).wait_for_publish(10)

    def _on_message(self, _client: mqtt.Client, _user: object, message: mqtt.MQTTMessage) -> None:
        self._marks.take(message.topic, bytes(message.payload))
