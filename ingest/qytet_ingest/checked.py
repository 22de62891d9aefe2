"""The checked path: every message that the fast path did not take, judged by the contract and the registry.

A message that cannot be stored becomes a dead letter with its raw bytes. A dead letter never shadows a
reading: a good record of the same number is still stored when it comes.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from qytet_contract import codes, notices, records, topics
from qytet_contract.codes import ContractError
from qytet_ingest import exactjson
from qytet_ingest.batch import Ack, Batch, Birth, DeadLetter, LogLine, StateChange, Undated
from qytet_ingest.ledger import Boot
from qytet_ingest.registry import Device, Registry

__all__ = ["Checked", "Route"]


@dataclass(frozen=True, slots=True)
class Route:
    """What a topic means: `device` None if it cannot be, then `reason` says why; `ignored` if another worker's."""

    kind: str
    device: Device | None
    claimed: str
    reply: bytes = b""
    reason: str = ""
    ignored: bool = False
    ident: str = ""


class Checked:
    """Judges messages one by one.

    `find_boot(device, boot)` gives the ledger's memory of a boot, reading it from the database if it must.
    `announce(device, keys)` registers datastreams that a birth names and the registry lacks.
    """

    def __init__(
        self,
        registry: Registry,
        *,
        city: str,
        find_boot: Callable[[Device, str], Boot],
        announce: Callable[[Device, list[str]], None],
        ahead_ms: int,
        late_ms: int = 60_000,
    ) -> None:
        self.registry = registry
        self.ahead_ms = ahead_ms
        self.late_ms = late_ms
        self._city = city
        self._find_boot = find_boot
        self._announce = announce
        self._takers: dict[str, Callable[[Batch, int, Route, Device, Any, int], None]] = {
            topics.OBS: self._obs,
            topics.HIST: self._hist,
            topics.BIRTH: self._birth,
            topics.STATE: self._state,
            topics.LOG: self._log,
            topics.ACK: self._ack,
        }

    def route(self, name: bytes) -> Route:
        """What a topic means under the registry as it is now."""
        try:
            parsed = topics.parse(name.decode())
        except UnicodeDecodeError:
            parsed = None
        if parsed is None or parsed[2] not in topics.FROM_DEVICE:
            mine = self.registry.is_mine(name.decode(errors="replace"))
            return Route("", None, "", reason=codes.BAD_TOPIC, ignored=not mine)
        city, claimed, kind, gateway, ident = parsed
        device = self.registry.devices.get(claimed)
        if device is None:
            return Route(
                kind,
                None,
                claimed,
                reason=codes.UNKNOWN_DEVICE,
                ignored=bool(self._city and city != self._city) or not self.registry.is_mine(claimed),
            )
        if not device.mine or (self._city and device.city != self._city):
            return Route(kind, device, claimed, ignored=True)
        if device.city != city:
            return Route(kind, None, claimed, reason=codes.WRONG_CITY)
        if gateway and device.gateway != gateway:
            return Route(kind, None, claimed, reason=codes.NOT_VIA)
        reply = topics.topic(city, claimed, topics.STORED, gateway=gateway).encode()
        return Route(kind, device, claimed, reply, ident=ident)

    def take(self, batch: Batch, index: int, route: Route, now_ms: int) -> None:
        """Put message `index` of the batch where it belongs."""
        payload = batch.messages[index][1]
        if route.device is None:
            self._dead(batch, index, route, ContractError(route.reason))
            return
        if not payload and route.kind in (topics.BIRTH, topics.STATE):
            return  # an empty retained message only clears the broker's memory
        value: Any = None
        try:
            value = exactjson.loads(payload)
            self._takers[route.kind](batch, index, route, route.device, value, now_ms)
        except ContractError as error:
            self._dead(batch, index, route, error)
            if route.kind == topics.OBS:
                self._account(batch, route, value)

    def _dead(self, batch: Batch, index: int, route: Route, error: ContractError) -> None:
        topic, payload = batch.messages[index]
        batch.dead.append(DeadLetter(topic, payload, error.code, error.detail, route.claimed))

    def _account(self, batch: Batch, route: Route, value: Any) -> None:
        """Count the number of a refused record, if it has one, so that its device need not send it for ever."""
        device = route.device
        if device is None or not isinstance(value, dict):
            return
        try:
            records.check_boot(value.get("boot"))
            records.check_seq(value.get("seq"))
        except ContractError:
            return
        self._reject(batch, route, self._boot(batch, route, device, value["boot"]), value["seq"])

    def _account_rows(self, batch: Batch, route: Route, device: Device, value: Any) -> None:
        """The same for every record of a backfill that is refused as a whole."""
        boot, rows = (value.get("boot"), value.get("r")) if isinstance(value, dict) else (None, None)
        try:
            records.check_boot(boot)
        except ContractError:
            return
        if isinstance(rows, list):
            known = self._boot(batch, route, device, str(boot))
            for row in rows:
                self._reject_row(batch, route, known, row)

    def _reject(self, batch: Batch, route: Route, boot: Boot, seq: int) -> None:
        boot.reply = route.reply
        boot.reject(seq)
        batch.touch(boot)

    def _boot(self, batch: Batch, route: Route, device: Device, name: str) -> Boot:
        boot = self._find_boot(device, name)
        boot.reply = route.reply
        batch.touch(boot)
        return boot

    def _obs(self, batch: Batch, index: int, route: Route, device: Device, value: Any, now_ms: int) -> None:
        records.check_obs(value)
        boot = self._boot(batch, route, device, value["boot"])
        row = [value[name] for name in ("seq", "t", "up", "tq", "m")]
        self._record(batch, index, device, boot, row, now_ms)

    def _hist(self, batch: Batch, index: int, route: Route, device: Device, value: Any, now_ms: int) -> None:
        """Good rows are stored, bad ones make the message one dead letter that names them."""
        try:
            wrong = dict(records.check_hist(value))
        except ContractError:
            self._account_rows(batch, route, device, value)
            raise
        boot = self._boot(batch, route, device, value["boot"])
        boot.holds_from(value.get("lo", 1))
        for at, row in enumerate(value["r"]):
            if at in wrong:
                continue
            try:
                self._record(batch, index, device, boot, row, now_ms)
            except ContractError as error:
                wrong[at] = error
        if not wrong:
            return
        for at in wrong:
            self._reject_row(batch, route, boot, value["r"][at])
        code = next(iter(wrong.values())).code
        detail = "; ".join(f"r[{at}] {error}" for at, error in sorted(wrong.items()))
        raise ContractError(code, detail[:1000])

    def _reject_row(self, batch: Batch, route: Route, boot: Boot, row: Any) -> None:
        if isinstance(row, list) and row and type(row[0]) is int and 0 < row[0] <= records.MAX_SEQ:
            self._reject(batch, route, boot, row[0])

    def _record(
        self, batch: Batch, index: int, device: Device, boot: Boot, row: list[Any], now_ms: int
    ) -> None:
        """Store one record that keeps the contract, now or when its time is known. Raises ContractError."""
        seq, t, up, tq, m = row
        quality = codes.TIME_QUALITIES[tq]
        if t is None:
            if boot.anchor_ms is None:
                self._wait(batch, index, device, boot, row)
                return
            t, quality = boot.anchor_ms + up, codes.TIME_BACKDATED
            records.check_instant(t, "t minus up")
        if t > now_ms + self.ahead_ms:
            raise ContractError(codes.TIME_TOO_LATE, f"{t - now_ms} ms ahead of the server")
        if quality != codes.TIME_BACKDATED and up:  # 0: not made in this boot, or nobody knows when
            boot.anchor_ms = t - up
        values = {stream_for(device, key, t): value for key, value in m.items()}
        if boot.receive(seq):
            boot.late += t < now_ms - self.late_ms
            batch.add_record(index, boot, (seq, t, quality, values))

    def _wait(self, batch: Batch, index: int, device: Device, boot: Boot, row: list[Any]) -> None:
        seq, _t, up, _tq, m = row
        unknown = [key for key in m if key not in device.streams]
        if unknown:
            raise ContractError(codes.UNKNOWN_DATASTREAM, unknown[0])
        if boot.receive(seq):
            boot.undated = True
            batch.undated.append(Undated(boot, seq, up, json.dumps(m), index))

    def _birth(
        self, batch: Batch, _index: int, route: Route, device: Device, value: Any, _now_ms: int
    ) -> None:
        notices.check_birth(value)
        boot = self._boot(batch, route, device, value["boot"])
        boot.holds_from(value["lo"])
        batch.births.append(Birth(device.device_id, value["boot"], value["fw"], value["board"]))
        new = [key for key, _unit in value["ds"] if key not in device.streams]
        if new:
            self._announce(device, new)

    def _state(
        self, batch: Batch, _index: int, _route: Route, device: Device, value: Any, _now_ms: int
    ) -> None:
        notices.check_state(value)
        batch.states.append(StateChange(device.device_id, value["boot"], value["s"]))

    def _log(
        self, batch: Batch, _index: int, _route: Route, device: Device, value: Any, _now_ms: int
    ) -> None:
        notices.check_log(value)
        batch.logs.append(LogLine(device.device_id, value["boot"], value["up"], value["lvl"], value["msg"]))

    def _ack(self, batch: Batch, _index: int, route: Route, device: Device, value: Any, _now_ms: int) -> None:
        notices.check_ack(value)
        batch.acks.append(Ack(device.device_id, route.ident, value["s"], value.get("why", "")))


def stream_for(device: Device, key: str, t_ms: int) -> int:
    """The id of the datastream that `key` means at that instant. Raises ContractError."""
    stream = device.stream_at(key, t_ms)
    if stream is not None:
        return stream
    code = codes.NOT_VALID_THEN if key in device.streams else codes.UNKNOWN_DATASTREAM
    raise ContractError(code, key)
