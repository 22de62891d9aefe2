"""A server in a thread that does the one thing devices wait for: it remembers records and sends `stored` marks."""

import json
import threading
import time
from collections import defaultdict
from collections.abc import Callable
from types import TracebackType
from typing import Any, Self

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion

from qytet_contract import notices, topics
from qytet_simulators.device import Address

WAIT = 60.0  # s


class MarkServer:
    """Remembers every record (device, boot, seq) and how often it came; marks the contiguous part if `marking`.

    `first` leaves out what the broker says again by itself, as it does to a server that was slow to answer.
    `lose` is asked for each record, with how often it came, whether the server shall forget that it did.
    """

    def __init__(self, url: str, *, marking: bool = True, lose: Any = None) -> None:
        address = Address.parse(url)
        self.marking = marking
        self.seen: defaultdict[tuple[str, str, int], int] = defaultdict(int)
        self.first: defaultdict[tuple[str, str, int], int] = defaultdict(int)
        self.stored: dict[tuple[str, str], set[int]] = defaultdict(set)
        self.values: dict[tuple[str, str, int], Any] = {}
        self.lost_below: dict[tuple[str, str], int] = {}
        self.births: list[dict[str, Any]] = []
        self.states: list[dict[str, Any]] = []
        self.kinds: defaultdict[str, int] = defaultdict(int)
        self.garbage: list[bytes] = []
        self._lose = lose
        self._ready = threading.Event()
        self._client = paho.Client(CallbackAPIVersion.VERSION2, client_id="mark-server")
        self._client.username_pw_set(address.user, address.password)
        self._client.on_connect = self._on_connect
        self._client.on_subscribe = lambda *_: self._ready.set()
        self._client.on_message = self._on_message
        self._address = address

    def __enter__(self) -> Self:
        self._client.connect(self._address.host, self._address.port)
        self._client.loop_start()
        assert self._ready.wait(WAIT), "the mark server could not subscribe"
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._client.disconnect()
        self._client.loop_stop()

    def _on_connect(self, client: paho.Client, *_: Any) -> None:
        client.subscribe([(name, 1) for name in topics.ingest_filters()])

    def _on_message(self, _client: paho.Client, _data: Any, message: paho.MQTTMessage) -> None:
        parsed = topics.parse(message.topic)
        assert parsed is not None, message.topic
        city, device, kind, _, _ = parsed
        self.kinds[kind] += 1
        try:
            payload = json.loads(message.payload)
        except ValueError:
            self.garbage.append(bytes(message.payload))
            return
        if kind == topics.BIRTH:
            notices.check_birth(payload)
            self.births.append(payload | {"device": device})
        elif kind == topics.STATE:
            notices.check_state(payload)
            self.states.append(payload | {"device": device})
        elif kind == topics.OBS:
            self._take(device, payload["boot"], payload["seq"], payload["m"], again=message.dup)
        elif kind == topics.HIST:
            self._heed_lo(device, payload["boot"], payload["lo"])
            for seq, _t, _up, _tq, m in payload["r"]:
                self._take(device, payload["boot"], seq, m, again=message.dup)
        if kind in (topics.OBS, topics.HIST) and self.marking:
            self._mark(city, device, payload["boot"])

    def wait_for(self, condition: Callable[[], bool]) -> None:
        """Wait for what this server's thread has yet to hear."""
        end = time.monotonic() + WAIT
        while not condition():
            assert time.monotonic() < end, "waited in vain"
            time.sleep(0.02)

    def _take(self, device: str, boot: str, seq: int, m: Any, *, again: bool) -> None:
        key = (device, boot, seq)
        self.seen[key] += 1
        self.first[key] += not again
        if self._lose is None or not self._lose(key, self.seen[key]):
            self.stored[device, boot].add(seq)
            self.values[key] = m

    def _heed_lo(self, device: str, boot: str, lo: int) -> None:
        self.lost_below[device, boot] = max(lo, self.lost_below.get((device, boot), 1))

    def contiguous(self, device: str, boot: str) -> int:
        """The highest seq up to which all is stored or reported as lost."""
        seq, lo = 0, self.lost_below.get((device, boot), 1)
        while seq + 1 < lo or seq + 1 in self.stored[device, boot]:
            seq += 1
        return seq

    def _mark(self, city: str, device: str, boot: str) -> None:
        payload = json.dumps(notices.stored(boot, self.contiguous(device, boot)))
        self._client.publish(topics.topic(city, device, topics.STORED), payload, 1)
