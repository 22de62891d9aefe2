"""What the tests of followed files share: a log that grows, and a look at it."""

import asyncio
import time
from collections.abc import Callable, Coroutine
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from qytet_edge.inbox.files import FileConfig, FileSource, create, place
from qytet_edge.inbox.files.generations import SETTLED_S
from qytet_edge.inbox.kinds import Context
from tests.edge.memory_sink import MemorySink

__all__ = [
    "COLUMN",
    "HEADER",
    "T0",
    "TIME",
    "append",
    "config",
    "context",
    "leave_alone",
    "look",
    "row",
    "rows",
    "run",
    "timed",
    "values",
]

COLUMN = {"column": "v", "key": "vehicle_count"}


TIME = {"column": "t", "format": "unix_ms"}


T0 = 1789000000000


HEADER = "t,v\n"


def config(path: str = "log.csv", **more: Any) -> FileConfig:
    settings = {"kind": "file", "name": "logger", "path": path, "column": [COLUMN], "poll_s": 0.05}
    return FileConfig.model_validate(settings | more)


def context(folder: Path) -> Context:
    return Context("tirana", "gw-01", folder, folder)


def row(number: int) -> str:
    return f"{T0 + number},{number}\n"


def rows(start: int, end: int) -> str:
    return "".join(row(number) for number in range(start, end))


def values(sink: MemorySink) -> list[Any]:
    return [reading.values["vehicle_count"] for reading in sink.readings]


async def look(source: FileSource, sink: MemorySink) -> None:
    """Run the source afresh until it has looked at everything once more."""
    beats, troubles = sink.beats, len(sink.troubles)
    task = asyncio.create_task(source.run(sink))
    try:
        await sink.until(lambda: sink.beats > beats or len(sink.troubles) > troubles + 50 or task.done())
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def run(work: Callable[[MemorySink], Coroutine[Any, Any, None]]) -> MemorySink:
    async def inside() -> MemorySink:
        sink = MemorySink()
        await work(sink)
        return sink

    return asyncio.run(inside())


def timed(log: Path, **more: Any) -> FileSource:
    source = create(config(time=TIME, **more), context(log.parent))
    assert isinstance(source, FileSource)
    return source


def leave_alone(patch: pytest.MonkeyPatch) -> None:
    """Let so much time pass that all files of now are done."""
    later = SimpleNamespace(time=lambda: time.time() + 2 * SETTLED_S)
    patch.setattr(place, "time", later)


def append(log: Path, text: str) -> None:
    with log.open("a", encoding="utf-8") as file:
        file.write(text)
