"""The gateway's side of `make bench-edge`: a spool with a backlog, live readings, and when each was marked."""

import asyncio
import contextlib
import json
import sys
import time
from collections.abc import AsyncIterator, Coroutine
from pathlib import Path
from typing import Any

import numpy as np
import psutil

from qytet import log
from qytet.settings import LogSettings
from qytet_edge.records import Reading
from qytet_edge.spool import Limits, Spool
from qytet_edge.uplink import Address, Identity, Manners, Uplink

__all__ = ["BACKLOG", "CITY", "KEYS", "LIVE"]

CITY = "tirana"
BACKLOG, LIVE = "backlog", "live"
KEYS = ("pm2_5", "pm10")
CHUNK = 1000
"""Records of one transaction while the backlog is made."""
ALONE_S = 5.0
"""Live records without a backlog, for comparison."""
LOOK_S = 0.25


class Watched(Spool):
    """A spool that remembers when each live record was put and marked, and how far the backlog is."""

    def __init__(self, path: Path, live: str, backlog: str) -> None:
        super().__init__(path, Limits(), lambda: (time.time_ns() // 1_000_000, "ntp"))
        self.put_at: list[float] = []
        self.delays: list[float] = []
        self.drained = 0
        self.news = asyncio.Event()
        self._live = live
        self._backlog = backlog

    async def put_live(self) -> None:
        """Put one live reading now."""
        self.put_at.append(time.monotonic())
        n = len(self.put_at)
        await self.put([Reading(self._live, {"pm2_5": n % 300 / 10, "pm10": n % 500 / 10})])

    async def put_backlog(self, records: int, start_ms: int, step_ms: int) -> None:
        """Put the backlog, dated."""
        for first in range(0, records, CHUNK):
            chunk = range(first, min(first + CHUNK, records))
            await self.put(
                [
                    Reading(
                        self._backlog,
                        {"pm2_5": n % 300 / 10, "pm10": n % 500 / 10},
                        start_ms + n * step_ms,
                        "ntp",
                    )
                    for n in chunk
                ]
            )
        self.fresh.clear()  # hours have passed since

    async def mark(self, device: str, boot: str, seq: int) -> None:
        """Note it, then as ever."""
        now = time.monotonic()
        if device == self._live:
            self.delays += [now - at for at in self.put_at[len(self.delays) : seq]]
        elif device == self._backlog:
            self.drained = max(self.drained, seq)
        self.news.set()
        await super().mark(device, boot, seq)

    async def until_drained(self, records: int) -> None:
        """Return when the backlog is marked."""
        while self.drained < records:
            self.news.clear()
            await self.news.wait()

    async def until_marked(self) -> None:
        """Return when every live record is marked."""
        while len(self.delays) < len(self.put_at):
            self.news.clear()
            await self.news.wait()


@contextlib.asynccontextmanager
async def _live(spool: Watched, rate: float) -> AsyncIterator[None]:
    """Put live readings at an even pace meanwhile; one that is late does not delay the next."""
    over = asyncio.Event()

    async def put() -> None:
        began, count = time.monotonic(), 0
        while not over.is_set():
            count += 1
            await asyncio.sleep(max(0.0, began + count / rate - time.monotonic()))
            await spool.put_live()

    putting = asyncio.create_task(put())
    try:
        yield
    finally:
        over.set()
        await putting


async def _peak(found: list[float]) -> None:
    """Note the resident memory, MB, for ever."""
    process = psutil.Process()
    while True:
        found.append(process.memory_info().rss / 1e6)
        await asyncio.sleep(LOOK_S)


@contextlib.asynccontextmanager
async def _running(*work: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    tasks = [asyncio.create_task(one) for one in work]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _measure(plan: dict[str, Any]) -> dict[str, Any]:
    run = plan["gateway"]
    live, backlog = f"{run}-{LIVE}", f"{run}-{BACKLOG}"
    identity = Identity(CITY, run, "0.1.0", "bench", {live: KEYS, backlog: KEYS})
    manners, memory = Manners(backfill_rate=plan["rate"]), list[float]()
    async with Watched(Path(plan["folder"]) / "spool.db", live, backlog) as spool:
        uplink = Uplink(spool, Address.parse(plan["url"]), identity, manners)
        async with _running(uplink.run()):
            await uplink.connected()
            async with _live(spool, plan["live"]):
                await asyncio.sleep(ALONE_S)
            await spool.until_marked()
        alone = len(spool.delays)
        began = time.monotonic()
        await spool.put_backlog(plan["records"], plan["start_ms"], plan["step_ms"])
        filled = time.monotonic() - began
        uplink = Uplink(spool, Address.parse(plan["url"]), identity, manners)
        began = time.monotonic()
        async with _running(uplink.run(), _peak(memory)):
            async with _live(spool, plan["live"]):
                await spool.until_drained(plan["records"])
                seconds = time.monotonic() - began
            await spool.until_marked()
            state = uplink.state()
    return {
        "fill_records_per_s": plan["records"] / filled,
        "seconds": seconds,
        "records_per_s": plan["records"] / seconds,
        "messages": state.messages,
        "resent": state.resent,
        "live_records": len(spool.delays),
        "alone": _shares(spool.delays[:alone]),
        "live": _shares(spool.delays[alone:]),
        "memory_mb_before": memory[0],
        "memory_mb": max(memory),
    }


def _shares(delays: list[float]) -> dict[str, float]:
    """Seconds that so many percent of the records stayed under."""
    return {f"p{share}": float(np.percentile(delays, share)) for share in (50, 95, 99)}


def main() -> None:
    """The argument is a JSON object; see tests.bench.edge."""
    log.configure(LogSettings())  # standard output is for the figures
    sys.stdout.write(json.dumps(asyncio.run(_measure(json.loads(sys.argv[1])))) + "\n")


if __name__ == "__main__":
    main()
