"""From messages to a batch: the fast path for records as they should be, `checked` for everything else.

The fast path takes a live record of a known device, a known boot and known datastreams; it costs about
two microseconds. Nothing is refused here: whoever doubts, hands over to the checked path.
"""

import msgspec

from qytet_contract import topics
from qytet_contract.codes import TIME_QUALITIES
from qytet_contract.strictjson import MAX_BYTES
from qytet_ingest.batch import Batch
from qytet_ingest.checked import Checked, Route
from qytet_ingest.ledger import Boot
from qytet_ingest.payloads import HIST_QUOTES, OBS_QUOTES, Hist, decode_hist, decode_obs
from qytet_ingest.registry import Registry

__all__ = ["Decoder"]

_ROUTES = 200_000  # topics remembered; a device has a handful
_BAD = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


class Decoder:
    """Fills batches. `now_ms` is the server's clock when the messages came; the caller sets it for each chunk."""

    def __init__(self, registry: Registry, checked: Checked) -> None:
        self.registry = registry
        self._checked = checked
        self._routes: dict[bytes, Route] = {}

    def use(self, registry: Registry) -> None:
        """Go on with a newer registry."""
        self.registry = registry
        self._checked.registry = registry
        self._routes.clear()

    def feed(self, batch: Batch, names: list[bytes], payloads: list[bytes], now_ms: int) -> None:
        """Put messages into the batch, in order."""
        routes, latest = self._routes, now_ms + self._checked.ahead_ms
        late = now_ms - self._checked.late_ms
        for name, payload in zip(names, payloads, strict=True):
            route = routes.get(name)
            if route is None:
                route = self._route(name)
            if route.ignored:
                continue
            index = len(batch.messages)
            batch.messages.append((name, payload))
            if route.kind == topics.OBS and self._obs(batch, index, route, payload, late, latest):
                continue
            if route.kind == topics.HIST and self._hist(batch, index, route, payload, late, latest):
                continue
            self._checked.take(batch, index, route, now_ms)

    def _route(self, name: bytes) -> Route:
        route = self._checked.route(name)
        # each answer to a command has a topic of its own, which never comes again
        if route.device is not None and not route.ident and len(self._routes) < _ROUTES:
            self._routes[name] = route
        return route

    def _obs(self, batch: Batch, index: int, route: Route, payload: bytes, late: int, latest: int) -> bool:
        """Take one live record; False if the checked path must look at it. The hot path, in one piece."""
        device = route.device
        if device is None:
            return False
        try:
            record = decode_obs(payload)
            values = record.m
            streams = [*map(device.open.__getitem__, values)]
        except (*_BAD, KeyError):
            return False
        if payload.count(b'"') != OBS_QUOTES + 2 * len(streams) or len(payload) > MAX_BYTES:
            return False
        boot = device.boots.get(record.boot)
        time = record.t
        if boot is None or boot.undated or time > latest or not device.start <= time < device.end:
            return False
        seq = record.seq
        if seq == boot.next and boot.received.ends:
            boot.received.ends[-1] = boot.next = seq + 1
            boot.fresh.append(seq)
        elif not boot.receive(seq):
            boot.reply = route.reply
            batch.touch(boot)
            return True
        if not boot.touched:
            boot.touched = True
            boot.reply = route.reply
            batch.boots.append(boot)
        if time < late:
            boot.late += 1
        if record.up:
            boot.anchor_ms = time - record.up
        batch.record_message.append(index)
        batch.record_boot.append(boot)
        batch.record_seq.append(seq)
        batch.record_time.append(time)
        batch.record_tq.append(TIME_QUALITIES[record.tq])
        batch.record_size.append(len(streams))
        batch.streams += streams
        batch.values += values.values()
        return True

    def _hist(self, batch: Batch, index: int, route: Route, payload: bytes, late: int, latest: int) -> bool:
        """Take a backfill; False if the checked path must look at it, and then nothing was taken."""
        device = route.device
        if device is None:
            return False
        try:
            hist = decode_hist(payload)
        except _BAD:
            return False
        boot = device.boots.get(hist.boot)
        if (
            boot is None
            or boot.undated
            or len(payload) > MAX_BYTES
            or payload.count(b'"') != _hist_quotes(hist)
        ):
            return False
        streams, known, start, end = [], device.open, device.start, min(device.end, latest + 1)
        try:
            for row in hist.r:
                if not start <= row.t < end:
                    return False
                streams.append([*map(known.__getitem__, row.m)])
        except KeyError:
            return False
        batch.touch(boot)
        boot.reply = route.reply
        if hist.lo is not None and hist.lo > 1:
            boot.holds_from(hist.lo)
        self._rows(batch, index, boot, hist, streams, late)
        return True

    def _rows(
        self, batch: Batch, index: int, boot: Boot, hist: Hist, streams: list[list[int]], late: int
    ) -> None:
        for row, found in zip(hist.r, streams, strict=True):
            if not boot.receive(row.seq):
                continue
            boot.late += row.t < late
            if row.up:
                boot.anchor_ms = row.t - row.up
            batch.record_message.append(index)
            batch.record_boot.append(boot)
            batch.record_seq.append(row.seq)
            batch.record_time.append(row.t)
            batch.record_tq.append(TIME_QUALITIES[row.tq])
            batch.record_size.append(len(found))
            batch.streams += found
            batch.values += row.m.values()


def _hist_quotes(hist: Hist) -> int:
    """How many quotation marks this backfill has if no name is repeated or escaped."""
    values = sum([len(row.m) for row in hist.r])
    return HIST_QUOTES + (2 if hist.lo is not None else 0) + 2 * len(hist.r) + 2 * values
