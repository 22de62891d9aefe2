"""Delivers a recording as its devices would: kept until the platform marks it stored, and sent again until then.

Backfill (`hist`) goes device by device, live replay (`obs`) in the order of time at a speed factor. What is in
hand is bounded: no record is taken from the recording before an earlier one is marked.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from qytet.errors import ServerError
from qytet_simulators.device import Address, Manners, Node, Switchboard
from qytet_simulators.device import Record as Accepted
from qytet_simulators.replay.account import Sent
from qytet_simulators.replay.recording import Recording
from qytet_simulators.replay.staging import Record
from qytet_simulators.replay.state import State

__all__ = ["Live", "Orders", "Replay"]

MAX_IN_HAND = 20_000
"""Records in memory, of all devices together."""
CONNECT_SECONDS = 15.0
SAVE_SECONDS = 2.0
LAST_SECONDS = 3.0
"""How long an interrupted run still waits for marks that are on their way."""
SERVE_EVERY = 500
"""Records between two looks at the connections while there is room."""


@dataclass(frozen=True)
class Live:
    """Live replay: `speed` recorded seconds a second; stamps shifted to now unless `keep_time`."""

    speed: float = 1.0
    keep_time: bool = False


@dataclass(frozen=True)
class Orders:
    """How to deliver: `rate` records a second of backfill, `patience` seconds without progress until giving up."""

    address: Address
    live: Live | None = None
    rate: float = 50_000.0
    patience: float = 60.0


@dataclass
class Replay:
    """One delivery of a recording. `stop` is looked at all the time; `progress` gets records stored and in all."""

    recording: Recording
    orders: Orders
    state: State | None = None
    stop: Callable[[], bool] = lambda: False
    progress: Callable[[int, int], None] = lambda _stored, _all: None
    sent: Sent = field(default_factory=Sent)

    def __post_init__(self) -> None:
        live = self.orders.live
        self._run = f"{time.time_ns():x}" if live and not live.keep_time else ""
        self._marked = self.state.load() if self.state else {}
        self._in_hand = 0
        self._saved_at = 0.0
        parts = self.recording.parts
        streams = self.recording.staging.streams
        city = self.recording.mapping.city.city
        self._nodes = {device: Node(city, device, streams[device], capacity=MAX_IN_HAND) for device in parts}
        for device, node in self._nodes.items():
            node.reboot(self.recording.boot(device, self._run))
        self.sent.in_window = sum(part.count for part in parts.values())
        self.sent.repeated_records = sum(part.repeated for part in parts.values())
        self.sent.stored_before = sum(
            max(0, min(self._marked.get(device, 0), part.last) - part.first + 1)
            for device, part in parts.items()
        )

    def run(self) -> Sent:
        """Deliver everything in the window and wait for the marks. Raises ServerError if no broker answers."""
        began = time.monotonic()
        orders = self.orders
        manners = Manners(backfill_rate=orders.rate, persistent=False)
        name = f"{self.recording.identity[:8]}-{time.time_ns() % 0xFFFFFF:x}"
        nodes = list(self._nodes.values())
        if not nodes:
            return self.sent
        with Switchboard(orders.address, nodes, run=name, manners=manners) as board:
            self._board = board
            self._connect()
            try:
                (self._send_live if orders.live else self._send_all)()
                self._settle()
            finally:
                self._close_account(time.monotonic() - began)
        return self.sent

    def _connect(self) -> None:
        board = self._board
        board.run(CONNECT_SECONDS, lambda: board.up == len(board.carriers) or self.stop())
        if not board.up and not self.stop():
            raise ServerError(
                f"No broker answers at {self.orders.address}.",
                why=board.refusal,
                do="Start the platform, or give the right URL by --broker.",
            )

    def _send_all(self) -> None:
        for device, part in self.recording.parts.items():
            start = max(part.first, self._marked.get(device, 0) + 1)
            for record in self.recording.staging.by_device(device):
                if record.seq < start:
                    continue
                if record.seq > part.last:
                    break
                if not self._await_room():
                    return
                self._accept(record, record.t)

    def _accept(self, record: Record, t: int) -> None:
        node = self._nodes[record.device]
        accepted = Accepted(record.seq, t, record.up, "host", dict(record.m))
        node.accept(accepted)
        if self.orders.live:
            self._board.submit(node, node.boot, accepted)
        else:
            node.backlog.postpone(node.boot, record.seq)
        self._in_hand += 1
        self.sent.sent += 1
        self.sent.values += len(record.m)

    def _await_room(self) -> bool:
        """Serve the connections until another record may be taken in hand; False if it is time to end."""
        if self._in_hand < MAX_IN_HAND and self.sent.sent % SERVE_EVERY:
            return True
        self._serve(0.0)
        quiet = self._patience()
        while self._in_hand >= MAX_IN_HAND and not self.stop():
            self._serve(1.0, lambda: self._held() < MAX_IN_HAND)
            if quiet():
                return False
        return not self.stop()

    def _send_live(self) -> None:
        live = self.orders.live or Live()
        window = self.recording.window
        first_t: int | None = None
        begun_ms, begun = time.time_ns() // 1_000_000, time.monotonic()
        last: dict[str, tuple[int, int]] = {}
        for record in self.recording.staging.by_time():
            if not window.start <= record.t < window.end:
                continue
            first_t = record.t if first_t is None else first_t
            ahead_ms = (record.t - first_t) / live.speed
            self._await_time(begun + ahead_ms / 1000)
            if self.stop() or not self._await_room():
                return
            t = record.t if live.keep_time else _shifted(record, begun_ms + round(ahead_ms), last)
            self._accept(record, t)

    def _await_time(self, due: float) -> None:
        while (wait := due - time.monotonic()) > 0 and not self.stop():
            self._serve(min(wait, 1.0))

    def _settle(self) -> None:
        """Wait until everything sent is marked; give up without progress, or soon after an interruption."""
        quiet = self._patience()
        end = None
        while self._held():
            self._serve(1.0, lambda: not self._held())
            if self.stop() and end is None:
                end = time.monotonic() + LAST_SECONDS
            if quiet() or (end is not None and time.monotonic() >= end):
                return

    def _patience(self) -> Callable[[], bool]:
        """A question that turns true when nothing has been marked for `patience` seconds."""
        seen, since = self._stored(), time.monotonic()

        def quiet() -> bool:
            nonlocal seen, since
            if self._stored() != seen:
                seen, since = self._stored(), time.monotonic()
            return time.monotonic() - since >= self.orders.patience

        return quiet

    def _serve(self, seconds: float, until: Callable[[], bool] = lambda: False) -> None:
        self._board.run(seconds, lambda: self.stop() or until())
        self._held()
        self.progress(self.sent.stored_before + self._stored(), self.sent.in_window)
        if self.state and time.monotonic() - self._saved_at >= SAVE_SECONDS:
            self._saved_at = time.monotonic()
            self.state.save(self._marks())

    def _held(self) -> int:
        self._in_hand = sum(len(node.backlog) for node in self._nodes.values())
        return self._in_hand

    def _stored(self) -> int:
        return sum(node.tally.stored for node in self._nodes.values())

    def _marks(self) -> dict[str, int]:
        """What is known to be stored of each device, earlier runs included."""
        marks = dict(self._marked)
        for device, node in self._nodes.items():
            if node.seq:
                marks[device] = max(marks.get(device, 0), node.backlog.lo(node.boot) - 1)
        return marks

    def _close_account(self, seconds: float) -> None:
        sent = self.sent
        sent.seconds = seconds
        sent.stored = self._stored()
        sent.resent = sum(node.tally.resent for node in self._nodes.values())
        sent.not_confirmed = sent.in_window - sent.stored_before - sent.stored
        sent.interrupted = self.stop()
        if self.state is None:
            return
        sent.resumable = True
        if sent.not_confirmed:
            self.state.save(self._marks())
        else:
            self.state.clear()


def _shifted(record: Record, t: int, last: dict[str, tuple[int, int]]) -> int:
    """`t`, or a millisecond after the device's last one if high speed has brought two instants together."""
    before = last.get(record.device)
    if before and record.t != before[0]:
        t = max(t, before[1] + 1)
    elif before:
        t = before[1]
    last[record.device] = (record.t, t)
    return t
