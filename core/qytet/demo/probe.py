"""How long a reading takes from its device to the API: asks for fresh readings until they are there.

A device's record stands in the oracle, with the writer's clock, just before it is published. A prober takes
one record at a time as it appears there, of another device each time, and asks the API for it again and again;
when the answer holds it, the time since that clock is the latency. Both clocks are this machine's.
"""

import contextlib
import http.client
import json
import math
import random
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, BinaryIO
from urllib.parse import urlencode

from qytet.demo.growing import whole_lines
from qytet.embedded.ports import LOOPBACK

__all__ = ["Latencies", "Prober", "latest_visible", "observation_visible"]

_LOOK_S = 0.005  # s between two looks at the oracle, which offers no event
_GIVE_UP_S = 30.0  # s; a reading that takes longer is counted as that
_LONGEST_LINE = 65_536  # bytes
_KEPT = 20_000  # newest latencies that the percentiles are of
_RECENT = 20  # devices that are not asked for again yet

Visible = Callable[[http.client.HTTPConnection, dict[str, Any]], bool]


class Latencies:
    """The newest latencies in ms; written by one thread, read by another."""

    def __init__(self) -> None:
        self._values: deque[float] = deque(maxlen=_KEPT)

    def add(self, ms: float) -> None:
        """Take one."""
        self._values.append(ms)

    def summary(self) -> dict[str, float | int | None]:
        """Count, p50, p95, p99 and the longest, in ms; nearest rank."""
        values = sorted(self._values.copy())
        found: dict[str, float | int | None] = {"count": len(values)}
        for name, share in (("p50", 0.5), ("p95", 0.95), ("p99", 0.99), ("max", 1.0)):
            rank = max(math.ceil(share * len(values)) - 1, 0)
            found[name] = round(values[rank], 1) if values else None
        return found


class Prober:
    """A thread that measures while its block runs; `latencies` and `unseen` may be read at any time.

    It pauses `ask_s` between two questions: what it measures is too long by at most that and one answer.
    """

    def __init__(self, oracle: Path, port: int, visible: Visible, seed: int, ask_s: float) -> None:
        self.latencies = Latencies()
        self.unseen = 0
        """Readings that did not become visible within 30 s while the prober ran."""
        self._oracle = oracle
        self._port = port
        self._visible = visible
        self._ask_s = ask_s
        self._luck = random.Random(seed)  # noqa: S311  which records are asked for is no secret
        self._recent: deque[str] = deque(maxlen=_RECENT)
        self._stop = threading.Event()
        self.failure: BaseException | None = None
        """Why the prober ended before its time, if it did: then its figures are not of the whole run."""

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        """Measure while the block runs; what is under way at its end is not counted."""
        with ThreadPoolExecutor(1, thread_name_prefix="demo-prober") as thread:
            work = thread.submit(self._work)
            try:
                yield
            finally:
                self._stop.set()
                self.failure = work.exception()

    def _work(self) -> None:
        link = http.client.HTTPConnection(LOOPBACK, self._port, timeout=10)
        with contextlib.closing(link), _appended(self._oracle, self._stop) as burst:
            for lines in burst:
                record = self._chosen(lines)
                if record is not None:
                    self._measure(link, record)

    def _chosen(self, lines: list[bytes]) -> dict[str, Any] | None:
        """One of the records that were just written, by chance, but of a device that was not asked for lately."""
        found = []
        for line in lines:
            entry = json.loads(line)
            if entry["kind"] == "record" and entry["fate"] == "stored" and entry["m"]:
                found.append(entry)
        fresh = [entry for entry in found if entry["device"] not in self._recent] or found
        return self._luck.choice(fresh) if fresh else None

    def _measure(self, link: http.client.HTTPConnection, record: dict[str, Any]) -> None:
        self._recent.append(record["device"])
        deadline = time.monotonic() + _GIVE_UP_S
        while not self._stop.is_set():
            with contextlib.suppress(OSError, http.client.HTTPException, ValueError, KeyError):
                if self._visible(link, record):
                    self.latencies.add(time.time() * 1000 - record["wall"])
                    return
            if time.monotonic() > deadline:
                self.unseen += 1
                self.latencies.add(_GIVE_UP_S * 1000)
                return
            self._stop.wait(self._ask_s)


def observation_visible(link: http.client.HTTPConnection, record: dict[str, Any]) -> bool:
    """Whether /v1/observations holds the record's first value."""
    key = next(iter(record["m"]))
    query = {"device": record["device"], "key": key, "from": _instant(record["t"]), "limit": 1}
    answer = _ask(link, "/v1/observations", query)
    return any(_ms(item["phenomenon_time"]) == record["t"] for item in answer["items"])


def latest_visible(link: http.client.HTTPConnection, record: dict[str, Any]) -> bool:
    """Whether /v1/latest shows the record's first value, or a newer one."""
    key = next(iter(record["m"]))
    answer = _ask(link, "/v1/latest", {"device": record["device"]})
    return any(item["key"] == key and _ms(item["phenomenon_time"]) >= record["t"] for item in answer["items"])


def _ask(link: http.client.HTTPConnection, path: str, query: dict[str, Any]) -> dict[str, Any]:
    try:
        link.request("GET", f"{path}?{urlencode(query)}", headers={"Accept": "application/json"})
        response = link.getresponse()
        body = response.read()
    except (OSError, http.client.HTTPException):
        link.close()  # the next question connects anew
        raise
    if response.status != 200:
        raise http.client.HTTPException(f"{path} answered {response.status}")
    found: dict[str, Any] = json.loads(body)
    return found


def _instant(ms: int) -> str:
    return datetime.fromtimestamp(ms / 1000, UTC).isoformat(timespec="milliseconds")


def _ms(instant: str) -> int:
    return round(datetime.fromisoformat(instant).timestamp() * 1000)


@contextlib.contextmanager
def _appended(path: Path, stop: threading.Event) -> Iterator[Iterator[list[bytes]]]:
    """Bursts of whole lines that are appended from now on; what was written while nobody asked is passed over."""
    while not path.exists() and not stop.wait(_LOOK_S):
        pass
    if stop.is_set():
        yield iter(())
        return
    with path.open("rb") as file:

        def bursts() -> Iterator[list[bytes]]:
            _seek_after_whole_lines(file)
            while not stop.is_set():
                if lines := whole_lines(file):
                    yield lines
                    _seek_after_whole_lines(file)
                stop.wait(_LOOK_S)

        yield bursts()


def _seek_after_whole_lines(file: BinaryIO) -> None:
    """Go behind the last line break: a line that is being written is read when it is whole."""
    end = file.seek(0, 2)
    start = max(0, end - _LONGEST_LINE)
    file.seek(start)
    file.seek(start + file.read(end - start).rfind(b"\n") + 1)
