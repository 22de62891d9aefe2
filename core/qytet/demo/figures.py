"""The figures of a moment: what the simulators and ingest say of themselves, and rates between two moments."""

import contextlib
import http.client
import json
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from qytet.demo.growing import whole_lines
from qytet.embedded.ports import LOOPBACK

__all__ = ["CityFigures", "Figures", "Reader"]

_STATS_LIMIT = 4_000_000  # bytes; only the last line counts, so a longer file is begun anew
_TAIL = 65_536


@dataclass(frozen=True, slots=True)
class CityFigures:
    """One city: values a second, and records accepted, marked as stored, and held without a mark."""

    rate: float
    readings: int
    records: int
    stored: int
    held: int


@dataclass(frozen=True, slots=True)
class Figures:
    """The whole platform at a moment; `lag_s` is from a record's own time to its commit, None if unknown."""

    rate: float = 0.0
    stored_rate: float = 0.0
    readings: int = 0
    readings_stored: int = 0
    records: int = 0
    records_stored: int = 0
    held: int = 0
    dead_letters: int = 0
    lag_s: float | None = None
    devices: int = 0
    stored_ms: dict[str, Any] = field(default_factory=dict)
    cities: dict[str, CityFigures] = field(default_factory=dict)


class Reader:
    """Reads the figures; each call of `now` compares with the one before."""

    def __init__(self, stats: Path, ingest_port: int) -> None:
        self._stats = stats
        self._port = ingest_port
        self._before: tuple[float, dict[str, Any], dict[str, float]] = (0.0, {}, {})
        self._lag: float | None = None

    def now(self) -> Figures:
        """The figures of this moment; zeros until the programs say something."""
        said, metrics = last_line(self._stats), self._metrics()
        then, said_before, metrics_before = self._before
        metrics = metrics or metrics_before  # ingest may be busy for a moment
        moment = time.monotonic()
        seconds = moment - then
        self._note_lag(metrics, metrics_before)
        stored = metrics.get("qytet_ingest_readings_total", 0.0)
        figures = Figures(
            rate=_rate(said, said_before),
            stored_rate=max(stored - metrics_before.get("qytet_ingest_readings_total", stored), 0) / seconds,
            readings=said.get("readings", 0),
            readings_stored=int(stored),
            records=said.get("records", 0),
            records_stored=said.get("stored", 0),
            held=said.get("held", 0),
            dead_letters=int(metrics.get("qytet_ingest_dead_letters_total", 0)),
            lag_s=self._lag,
            devices=said.get("devices", 0),
            stored_ms=said.get("stored_ms", {}),
            cities={
                name: CityFigures(
                    _rate(said, said_before, name),
                    *(tally[k] for k in ("readings", "records", "stored", "held")),
                )
                for name, tally in said.get("cities", {}).items()
            },
        )
        self._before = (moment, said, metrics)
        return figures

    def _note_lag(self, now: dict[str, float], before: dict[str, float]) -> None:
        """The mean, over the batches since the last look, of the slowest live record of each batch."""
        count = now.get("qytet_ingest_lag_seconds_count", 0) - before.get("qytet_ingest_lag_seconds_count", 0)
        if count > 0:
            total = now["qytet_ingest_lag_seconds_sum"] - before.get("qytet_ingest_lag_seconds_sum", 0)
            self._lag = total / count

    def _metrics(self) -> dict[str, float]:
        """Ingest's metrics by name, summed over labels; empty when it does not answer."""
        link = http.client.HTTPConnection(LOOPBACK, self._port, timeout=2)
        found: dict[str, float] = {}
        with contextlib.closing(link), contextlib.suppress(OSError, http.client.HTTPException, ValueError):
            link.request("GET", "/metrics")
            for line in link.getresponse().read().decode().splitlines():
                if not line.startswith("#"):
                    name, _, value = line.rpartition(" ")
                    name = name.partition("{")[0]
                    found[name] = found.get(name, 0.0) + float(value)
        return found


def last_line(stats: Path) -> dict[str, Any]:
    """The newest whole line of the simulators' figures; empty before the first."""
    try:
        with stats.open("r+b") as file:
            size = file.seek(0, 2)
            file.seek(max(0, size - _TAIL))
            lines = whole_lines(file)
            found: dict[str, Any] = json.loads(lines[-1]) if lines else {}
            if size > _STATS_LIMIT and not found.get("last"):
                file.truncate(0)  # its writer appends
            return found
    except (OSError, ValueError):
        return {}


def _rate(now: dict[str, Any], before: dict[str, Any], city: str | None = None) -> float:
    seconds = now.get("at", 0) - before.get("at", 0)
    if not before or seconds <= 0:
        return 0.0
    new, old = (now, before) if city is None else (now["cities"][city], before["cities"].get(city, {}))
    rate: float = (new["readings"] - old.get("readings", 0)) / seconds
    return rate
