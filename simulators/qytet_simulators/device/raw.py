"""One connection of the fast publisher: precomputed packets out, PUBACKs in, counted in bulk; no client library.

A wave is a list of packets to send in order. At most `window` of them are in flight; packet ids follow from the
place in the wave, so an id is never in use twice. A lost connection makes a new wave of what has no PUBACK.
"""

import contextlib
import socket
import time
from collections.abc import Sequence

import msgspec
import numpy as np

from qytet_simulators.city.arrays import Millis
from qytet_simulators.device import wire
from qytet_simulators.device.address import Address
from qytet_simulators.device.load import Parcel
from qytet_simulators.device.tally import Latency

__all__ = ["RawLink"]

CHUNK = 256
"""Packets joined for one write."""
LEAST = 32
"""Room in the window that is worth a write: PUBACKs arrive in clusters."""
RECEIVE = 1 << 18  # bytes of one read
PROBE_S = 0.5  # between two attempts to connect
_PUBACK_HEAD = 0x4002


class RawLink:
    """A connection that sends a parcel; `pump` whenever its socket is ready, `retry` while it has none."""

    def __init__(self, part: Parcel, address: Address, client_id: str, window: int, latency: Latency) -> None:
        if not 1 <= window < wire.MOST_IDS:
            raise ValueError(f"a window of 1 to {wire.MOST_IDS - 1} messages, not {window}")
        self.part = part
        self.sock: socket.socket | None = None
        self.sent = 0
        """Messages written, repetitions included."""
        self.resent = 0
        self.acked = 0
        self.connects = 0
        self.refusal = ""
        self.marks = [0] * len(part.boots)
        self.moved_at = time.monotonic()
        """When the last mark or PUBACK came."""
        self._address = address
        self._client_id = client_id
        self._window = window
        self._latency = latency
        self._place = {boot: place for place, boot in enumerate(part.boots)}
        self._ready = False
        self._next_try = 0.0
        self._out = memoryview(b"")
        self._wave: Millis = np.arange(len(part.packets))
        self._first_wave = True
        self._start_wave()

    @property
    def delivered(self) -> bool:
        """Whether the broker has acknowledged the whole wave."""
        return self._oldest >= len(self._wave)

    @property
    def unacked(self) -> int:
        """Messages of this wave without a PUBACK."""
        return int((~self._acks[self._oldest :]).sum())

    @property
    def marked(self) -> bool:
        """Whether the server has accounted for everything."""
        return all(mark >= last for mark, last in zip(self.marks, self.part.last_seqs, strict=True))

    @property
    def unmarked(self) -> int:
        """Records above the marks."""
        return sum(max(last - mark, 0) for mark, last in zip(self.marks, self.part.last_seqs, strict=True))

    @property
    def wants_write(self) -> bool:
        """Whether bytes wait for room in the socket."""
        return bool(self._out)

    def retry(self, now: float) -> bool:
        """Connect if it is time to; whether there is a new socket to watch."""
        if self.sock is not None or now < self._next_try:
            return False
        self._next_try = now + PROBE_S
        try:
            sock = socket.create_connection((self._address.host, self._address.port), timeout=5)
        except OSError as error:
            self.refusal = str(error)
            return False
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.setblocking(False)
        self.sock, self._splitter, self._ready = sock, wire.Splitter(), False
        user = self._address.user
        self._out = memoryview(wire.connect(self._client_id, user, self._address.password))
        self._flush()
        return True

    def pump(self, allowed: int, *, readable: bool) -> int:
        """Read what came and write what may go, at most `allowed` new packets; returns how many were new.

        Closes itself when the connection is lost; what has no PUBACK is sent again on the next one.
        """
        if readable:
            self._read()
        begun = self._next
        while self.sock is not None and self._ready and not self._out and allowed > self._next - begun:
            if not self._fill(allowed - (self._next - begun)):
                break
            self._flush()
        if self._out:
            self._flush()
        return max(self._next - begun, 0)

    def resend(self) -> int:
        """Make a new wave of all that is above the marks, once the old one is acknowledged; how many packets."""
        positions = self.part.positions_after(self.marks)
        self._wave, self._first_wave = np.array(positions, dtype=np.int64), False
        self._start_wave()
        self.resent += len(positions)
        return len(positions)

    def close(self, *, orderly: bool = True) -> None:
        """Close the socket, with a DISCONNECT if orderly."""
        sock, self.sock = self.sock, None
        if sock is None:
            return
        with contextlib.suppress(OSError):
            if orderly:
                sock.sendall(wire.DISCONNECT_PACKET)
        sock.close()

    def _start_wave(self) -> None:
        self._next = self._oldest = 0
        self._acks = np.zeros(len(self._wave), dtype=bool)
        self._sent_at = np.zeros(len(self._wave), dtype=np.float64)

    def _fill(self, allowed: int) -> bool:
        """Join the next packets; whether there are any that may go."""
        free = self._window - (self._next - self._oldest)
        if free < min(LEAST, self._window):
            return False
        room = min(free, len(self._wave) - self._next, CHUNK, allowed)
        if room <= 0:
            return False
        end = self._next + room
        if self._first_wave:
            packets: Sequence[bytes] = self.part.packets[self._next : end]
        else:
            packets = [
                wire.with_id(self.part.packets[position], index % wire.MOST_IDS + 1)
                for index, position in enumerate(self._wave[self._next : end].tolist(), self._next)
            ]
        self._out = memoryview(b"".join(packets))
        self._sent_at[self._next : end] = time.monotonic()
        self._next = end
        self.sent += room
        return True

    def _flush(self) -> None:
        if self.sock is None:
            return
        try:
            while self._out:
                self._out = self._out[self.sock.send(self._out) :]
        except BlockingIOError:
            return
        except OSError as error:
            self._lose(str(error))

    def _read(self) -> None:
        if self.sock is None:
            return
        try:
            data = self.sock.recv(RECEIVE)
        except BlockingIOError:
            return
        except OSError as error:
            self._lose(str(error))
            return
        if not data:
            self._lose("The broker closed the connection.")
            return
        if not (self._splitter.empty and self._only_pubacks(data)):
            for packet in self._splitter.feed(data):
                self._heed(packet)

    def _only_pubacks(self, data: bytes) -> bool:
        """Take a read that holds nothing but whole PUBACKs in one stroke; whether it was one."""
        if len(data) % 4:
            return False
        pairs = np.frombuffer(data, dtype=">u2").reshape(-1, 2)
        if (pairs[:, 0] != _PUBACK_HEAD).any():
            return False
        self._take_acks(pairs[:, 1].astype(np.int64))
        return True

    def _take_acks(self, ids: Millis) -> None:
        """Ids are places in the wave modulo MOST_IDS, so they tell the place within the window."""
        places = self._oldest + (ids - 1 - self._oldest) % wire.MOST_IDS
        places = places[places < self._next]
        if not len(places):
            return
        now = time.monotonic()
        self._latency.add(now - float(self._sent_at[places[-1]]))
        before = int(self._acks[places].sum())
        self._acks[places] = True
        self.acked += len(places) - before
        self.moved_at = now
        open_acks = self._acks[self._oldest : self._next]
        step = int(np.argmin(open_acks)) if not open_acks.all() else len(open_acks)
        self._oldest += step

    def _heed(self, packet: wire.Incoming) -> None:
        if packet.kind == wire.PUBACK:
            self._take_acks(np.array([int.from_bytes(packet.body[:2], "big")], dtype=np.int64))
        elif packet.kind == wire.PUBLISH:
            _topic, payload, packet_id = wire.message(packet)
            if packet_id:
                self._out = memoryview(bytes(self._out) + wire.puback(packet_id))
            self._heed_mark(payload)
        elif packet.kind == wire.CONNACK:
            self._welcome(packet.body[1])

    def _heed_mark(self, payload: bytes) -> None:
        try:
            mark = msgspec.json.decode(payload, type=_Mark)
        except (msgspec.DecodeError, UnicodeDecodeError):
            return
        place = self._place.get(mark.boot)
        if place is not None and mark.seq > self.marks[place]:
            self.marks[place] = mark.seq
            self.moved_at = time.monotonic()

    def _welcome(self, code: int) -> None:
        if code:
            self._lose(f"The broker refused the connection (code {code}).")
            return
        self.refusal, self._ready = "", True
        self.connects += 1
        if self.part.filters:
            request = wire.subscribe(list(self.part.filters), wire.MOST_IDS + 1)
            self._out = memoryview(bytes(self._out) + request)

    def _lose(self, why: str) -> None:
        """What was written and not acknowledged, and what was not written yet, is the next wave."""
        self.refusal = why
        self.close(orderly=False)
        self._out, self._ready = memoryview(b""), False
        self.resent += int((~self._acks[self._oldest : self._next]).sum())
        rest = np.arange(self._oldest, len(self._wave))
        self._wave = self._wave[rest[~self._acks[rest]]]
        self._first_wave = False
        self._start_wave()


class _Mark(msgspec.Struct):
    boot: str
    seq: int
