"""What the devices send, and when it arrives: live records, a backfill, and all that goes wrong on the way."""

import json
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from qytet_contract import notices, records, topics
from qytet_contract.properties import PROPERTIES
from tests.dashboards.city import truth
from tests.dashboards.city.scenario import HOUR_MS, Record, Scenario


@dataclass(frozen=True, slots=True)
class Message:
    """One message and the instant at which the server has it."""

    at_ms: int
    topic: bytes
    payload: bytes


def messages(scenario: Scenario) -> list[Message]:
    """Everything that arrives, in order."""
    keys = {row["device"]: row["datastreams"] for row in scenario.description()["devices"]}
    found: list[Message] = []
    for device, made in groupby(scenario.records(), key=lambda record: record.device):
        found += _Sender(device, keys[device], scenario).say(list(made))
    found += _strangers(scenario)
    return sorted(found, key=lambda message: message.at_ms)


class _Sender:
    """One device: numbers its records and sends them as it can."""

    def __init__(self, device: str, keys: list[str], scenario: Scenario) -> None:
        self.device = device
        self.city = device.partition("-")[0]
        self.keys = keys
        self.now_ms = scenario.now_ms
        self.boot = boot_of(device, 0)

    def say(self, made: list[Record]) -> Iterator[Message]:
        """Birth, state and every record, each at its time."""
        began = made[0].t_ms
        yield from self._birth(began, self.boot)
        for rank, part in enumerate(self._boots(made)):
            if rank:
                self.boot = boot_of(self.device, rank)
                yield from self._birth(part[0].t_ms - 1000, self.boot)
            yield from self._records(part)
        yield from self._farewell(made[-1].t_ms)

    def _boots(self, made: list[Record]) -> Iterator[list[Record]]:
        """One boot, or for the device that keeps falling over, one every six hours of the last day."""
        if self.device != truth.REBOOTING:
            yield made
            return
        for _, part in groupby(made, key=lambda r: max(-5, (r.t_ms - self.now_ms) // (6 * HOUR_MS))):
            yield list(part)

    def _records(self, made: list[Record]) -> Iterator[Message]:
        held: list[list[Any]] = []
        for seq, record in enumerate(made, start=1):
            age_h = (self.now_ms - record.t_ms) / HOUR_MS
            row = [seq, record.t_ms, record.t_ms - made[0].t_ms + 1000, "ntp", record.values]
            if self.device == truth.LATE and 20 < age_h < 26:
                held.append(row)
                continue
            if held:
                yield self._message(record.t_ms, "hist", records.hist(self.boot, 1, held))
                held = []
            yield from self._live(row, age_h)

    def _live(self, row: list[Any], age_h: float) -> Iterator[Message]:
        seq, t, up, quality, values = row
        if self.device == truth.LOSSY and 30 < age_h < 31.5:
            return  # lost on the way, and the device no longer has it
        if self.device == truth.DROPPING and 10 < age_h < 11:
            return
        if self.device == truth.REJECTED and seq % 24 == 0:
            values = {**values, "pm2_5:unheard-of": 1.0}
        if self.device == truth.DROPPING and 9 < age_h <= 10 and 9 < age_h - 0.25 <= 9.75 and seq % 2:
            yield self._message(t, "hist", records.hist(self.boot, seq, [row]))
            return
        message = self._message(t, "obs", records.obs(self.boot, seq, t, up, quality, values))
        yield message
        if self.device == truth.DOUBLED and seq % 12 == 0:
            yield message

    def _birth(self, at_ms: int, boot: str) -> Iterator[Message]:
        streams = [[key, PROPERTIES[key.partition(":")[0]][0]] for key in self.keys]
        yield self._message(at_ms, "birth", notices.birth(boot, 1, "0.4.1", "esp32-s3", streams))
        yield self._message(at_ms, "state", notices.state(boot, "ready"))

    def _farewell(self, last_ms: int) -> Iterator[Message]:
        log = {"v": 1, "boot": self.boot, "up": 5000, "lvl": "warning", "msg": "the clock jumped by 3 s"}
        yield self._message(last_ms, "log", log)
        if self.device in (truth.SILENT, truth.GATEWAY):
            yield self._message(last_ms, "state", notices.state(self.boot, "lost"))
        if self.device == truth.ASLEEP:
            yield self._message(last_ms, "state", notices.state(self.boot, "sleeping"))

    def _message(self, at_ms: int, kind: str, payload: dict[str, Any]) -> Message:
        gateway = truth.GATEWAY if self.device in truth.RELAYED else ""
        name = topics.topic(self.city, self.device, kind, gateway=gateway)
        return Message(at_ms, name.encode(), json.dumps(payload).encode())


def boot_of(device: str, rank: int) -> str:
    """The name of a device's boot."""
    return f"{zlib.crc32(f'{device}/{rank}'.encode()):08x}"


def _strangers(scenario: Scenario) -> Iterable[Message]:
    """A device that nobody registered, something that is no JSON, and a record without a time."""
    at = scenario.now_ms - 7 * HOUR_MS
    for hours in (1, 2, 3):
        payload = records.obs(boot_of(truth.UNKNOWN, 0), hours, at + hours * HOUR_MS, 1, "ntp", {"no2": 1.0})
        name = topics.topic("tirana", truth.UNKNOWN, "obs").encode()
        yield Message(at + hours * HOUR_MS, name, json.dumps(payload).encode())
    name = topics.topic("durres", "durres-dma-01", "obs").encode()
    yield Message(at, name, b"{nothing")
    undated = records.obs("0badc10c", 1, None, 1000, "none", {"water_pressure": 3.1})
    yield Message(scenario.now_ms - HOUR_MS, name, json.dumps(undated).encode())
