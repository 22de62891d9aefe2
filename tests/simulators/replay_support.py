"""What the replay tests share: where the recordings are, small files, mappings over them, and a platform in small."""

import csv
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
import paho.mqtt.client as mqtt
import pytest
from paho.mqtt.enums import CallbackAPIVersion

from qytet_contract import notices, records, topics
from qytet_simulators.device import Address
from qytet_simulators.replay.mapping import Mapping

ROOT = Path(__file__).parents[2]


def recordings(*parts: str) -> Path:
    """The folder of real recordings; skips, saying so, if it (or what is asked for in it) is not there."""
    folder = Path(os.environ.get("QYTET_DATA") or ROOT.parent / "shared" / "data")
    if not folder.joinpath(*parts).exists():
        pytest.skip("the recordings are not here: set QYTET_DATA to their folder")
    return folder


def rows_of(folder: Path, *parts: str) -> list[dict[str, str]]:
    """A CSV recording read by the csv module alone."""
    with folder.joinpath(*parts).open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def small(folder: Path, text: str, time: dict[str, Any] | None = None, **source: Any) -> Mapping:
    """A mapping over a small CSV file with the columns `time` and `T`; `time` and `source` change its tables."""
    folder.joinpath("small.csv").write_text(text, encoding=source.get("encoding", "utf-8"))
    column = {"column": "T", "device": "small-one", "key": "air_temperature", "unit": "Cel"}
    tables = {
        "path": "small.csv",
        "time": {"column": "time", "zone": "Europe/Tirane"} | (time or {}),
        "column": [column],
    }
    return msgspec.convert(
        {
            "name": "small",
            "title": "A small file",
            "city": {
                "city": "small",
                "name": "Small",
                "time_zone": "Europe/Tirane",
                "lat": 41.3,
                "lon": 19.8,
            },
            "site": [{"site": "here", "name": "Here", "lat": 41.3, "lon": 19.8}],
            "device": [{"device": "*", "site": "here", "profile": "thermometer"}],
            "source": [tables | source],
        },
        Mapping,
    )


class Platform:
    """Keeps records by device, boot and seq as ingest does, and says the `stored` marks.

    `deaf` says of a message (counted from 1) whether the platform loses it, as a crash before a commit does.
    """

    def __init__(self, url: str, deaf: Callable[[int], bool] = lambda _count: False) -> None:
        self.kept: dict[tuple[str, str], dict[int, list[Any]]] = {}
        self.messages = 0
        self.duplicates = 0
        self.births: list[bytes] = []
        self._deaf = deaf
        self._ready = threading.Event()
        self._address = Address.parse(url)
        self._client = mqtt.Client(CallbackAPIVersion.VERSION2)
        self._client.username_pw_set(self._address.user, self._address.password)
        self._client.on_connect = lambda client, *_: client.subscribe("qytet/v1/+/+/+", 1)
        self._client.on_subscribe = lambda *_: self._ready.set()
        self._client.on_message = self._hear

    @contextmanager
    def running(self) -> Iterator["Platform"]:
        """Listen until the end of the block."""
        self._client.connect(self._address.host, self._address.port)
        self._client.loop_start()
        try:
            assert self._ready.wait(60)
            yield self
        finally:
            self._client.disconnect()
            self._client.loop_stop()

    def values(self) -> dict[tuple[str, str, int], float]:
        """Device, key and instant to the first value that came with them, in the order of sequence numbers."""
        found: dict[tuple[str, str, int], float] = {}
        for (device, _boot), kept in self.kept.items():
            for seq in sorted(kept):
                _, t, _, _, m = kept[seq]
                for key, value in m.items():
                    found.setdefault((device, key, t), value)
        return found

    def _hear(self, client: mqtt.Client, _data: Any, message: mqtt.MQTTMessage) -> None:
        city, device, kind, _, _ = topics.parse(message.topic) or ("", "", "", "", "")
        value = msgspec.json.decode(message.payload)
        if kind == topics.BIRTH:
            notices.check_birth(value)
            self.births.append(message.payload)
        if kind not in (topics.OBS, topics.HIST):
            return
        self.messages += 1
        if self._deaf(self.messages):
            return
        if kind == topics.OBS:
            records.check_obs(value)
            rows = [[value[name] for name in ("seq", "t", "up", "tq", "m")]]
        else:
            assert records.check_hist(value) == []
            rows = value["r"]
        kept = self.kept.setdefault((device, value["boot"]), {})
        for row in rows:
            self.duplicates += row[0] in kept
            kept.setdefault(row[0], row)
        mark = value.get("lo", 1) - 1
        while mark + 1 in kept:
            mark += 1
        client.publish(
            topics.topic(city, device, topics.STORED),
            msgspec.json.encode(notices.stored(value["boot"], mark)),
        )
