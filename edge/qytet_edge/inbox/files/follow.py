"""The source that follows CSV files: each row once, whatever happens to file, gateway or power in between.

How far a file is read is kept in the spool in the same transaction as its rows, under the source's name and the
file's path. Files are looked at every `poll_s`, each look in a thread, a thousand readings at a time.
"""

import asyncio
import glob
import math
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

from pydantic import Field, model_validator

from qytet.doctor.finding import Finding, ok, problem, warning
from qytet_edge.inbox.files.columns import Column, fixed_streams
from qytet_edge.inbox.files.generations import SETTLED_S, step
from qytet_edge.inbox.files.reader import Form, Progress, Step, decode, encode
from qytet_edge.inbox.files.stamps import Time
from qytet_edge.inbox.kinds import Context, Slug, SourceConfig
from qytet_edge.ports import Sink
from qytet_edge.records import Checkpoint

__all__ = ["FileConfig", "FileSource", "probe_file"]

TELL_S = 300.0
"""Seconds until the same trouble with a file is told again."""


class FileConfig(SourceConfig):
    """A CSV file that an instrument or its program appends to, or a folder of them (a file a day)."""

    kind: Literal["file"] = Field(description="Follows CSV files.")
    path: str = Field(
        description="The file, or a pattern for several (`/data/log-*.csv`), read in the order of names. Rotated "
        "generations of one file are found by themselves: do not name them."
    )
    device: Slug | Literal[""] = Field("", description="Device of its columns. Empty: the gateway.")
    column: tuple[Column, ...] = Field(
        min_length=1, description="What the columns mean; others are left out."
    )
    time: Time | None = Field(
        None,
        description="When rows were. Absent: each is dated when it is read, several at once a millisecond apart.",
    )
    delimiter: str = Field(",", min_length=1, max_length=1, description="What separates columns.")
    decimal: Literal[".", ","] = Field(".", description="The decimal mark.")
    encoding: Literal["utf-8", "latin-1", "cp1252"] = Field("utf-8", description="How text is written.")
    comment: str = Field("", description="Lines that begin so are left out.")
    names: tuple[str, ...] = Field((), description="Names of the columns, if the file has no header.")
    skip: int = Field(0, ge=0, description="Lines above the header.")
    poll_s: float = Field(5.0, ge=0.05, le=3600, description="Seconds between two looks.")
    deadline_s: float = Field(
        300, ge=10, description="Seconds without a readable file before starting afresh."
    )

    @model_validator(mode="after")
    def _apart(self) -> "FileConfig":
        if self.deadline_s < 2 * self.poll_s:
            raise ValueError("deadline_s must be at least twice poll_s")
        for device, keys in fixed_streams(self.column, self.device).items():
            for key in keys:
                if keys.count(key) > 1:
                    raise ValueError(f"two columns hold {key} of {device or 'the gateway'}")
        return self


class FileSource:
    """Follows files; see FileConfig."""

    def __init__(self, config: FileConfig, context: Context) -> None:
        self.name = config.name
        self.deadline_s = config.deadline_s
        self.streams: Mapping[str, Sequence[str]] = fixed_streams(
            config.column, config.device or context.gateway
        )
        self._config = config
        self._pattern = str(context.path(Path(config.path)))
        self._form = _form(config, context)

    async def run(self, sink: Sink) -> None:
        """Look at the files again and again."""
        looks = _Looks(self, sink)
        while True:
            await looks.round()
            await asyncio.sleep(self._config.poll_s)

    def key(self, path: Path) -> str:
        """The name of a file's checkpoint."""
        return f"{self.name}:{path}"

    def paths(self) -> list[Path]:
        """The files that are there, in the order of their names. Blocks."""
        return [path for path in map(Path, sorted(glob.glob(self._pattern))) if path.is_file()]  # noqa: PTH207

    def named(self) -> list[Path]:
        """The file itself if it is no pattern, there or not: it may have been renamed a moment ago."""
        return [] if glob.has_magic(self._pattern) else [Path(self._pattern)]

    def step(self, path: Path, progress: Progress, *, newest: bool) -> Step:
        """Read on in one file. Blocks."""
        return step(path, progress, self._form, quiet_s=math.inf if newest else SETTLED_S)

    def learn(self, found: Step) -> None:
        """Add the datastreams that only a header tells."""
        if found.table is not None:
            known = {device: set(keys) for device, keys in self.streams.items()}
            for device, keys in found.table.streams().items():
                known.setdefault(device, set()).update(keys)
            self.streams = {device: sorted(keys) for device, keys in known.items()}


class _Looks:
    """The looks of one run: what it has read stays in step with what the spool has kept."""

    def __init__(self, source: FileSource, sink: Sink) -> None:
        self._source = source
        self._sink = sink
        self._progress: dict[Path, Progress] = {}
        self._told: dict[str, float] = {}

    async def round(self) -> None:
        """Look at every file once, to its end."""
        source = self._source
        there = await asyncio.to_thread(source.paths)
        paths = there or source.named()
        good = 0
        for path in paths:
            try:
                good += await self._follow(path, newest=path == paths[-1])
            except FileNotFoundError:
                continue  # it was rotated while we looked (see AnotherFileError): the next look finds out
            except OSError as error:
                self._tell(f"{path.name} cannot be read: {error.strerror or error}")
        if good:
            self._sink.beat()
        elif not there:
            self._tell(f"there is no file {source.named()[0] if source.named() else 'that fits the pattern'}")

    async def _follow(self, path: Path, *, newest: bool) -> bool:
        """Read one file to its end; whether it is there."""
        source, key = self._source, self._source.key(path)
        progress = self._progress.get(path)
        if progress is None:
            progress = decode(await self._sink.checkpoint(key))
        while True:
            found = await asyncio.to_thread(source.step, path, progress, newest=newest)
            for trouble in found.troubles:
                self._tell(trouble, always=found.changed)
            source.learn(found)
            if found.changed:
                await self._sink.put(found.readings, Checkpoint(key, encode(found.progress)))
                progress = found.progress
            self._progress[path] = progress
            if not found.more:
                return found.found

    def _tell(self, trouble: str, *, always: bool = False) -> None:
        """Count a trouble; one that lasts is one trouble, not one a look."""
        now = time.monotonic()
        if not always and now - self._told.get(trouble, -TELL_S) < TELL_S:
            return
        if len(self._told) >= 1000:
            self._told.clear()
        if not always:
            self._told[trouble] = now
        self._sink.trouble(trouble)


async def probe_file(config: FileConfig, context: Context) -> list[Finding]:
    """Whether the files are there and their rows can be read; nothing is kept."""
    return await asyncio.to_thread(_probe, config, context)


def _probe(config: FileConfig, context: Context) -> list[Finding]:
    source = FileSource(config, context)
    paths = source.paths()
    if not paths:
        what = f"{config.name}: there is no file {context.path(Path(config.path))}."
        return [problem(what, "Look whether the instrument's program runs, and whether `path` is right.")]
    path = paths[-1]
    try:
        found = step(path, Progress(), _form(config, context), quiet_s=-math.inf)
    except OSError as error:
        what = f"{config.name}: {path} cannot be read: {error.strerror or error}."
        return [problem(what, "Give the gateway's user the right to read file and folder.")]
    if found.readings:
        last = found.readings[-1]
        good = ok(f"{config.name}: {path} gives {len(last.values)} values of {last.device} from its rows.")
        return [
            good,
            *[warning(f"{config.name}: {why}.", "Look at that line.") for why in found.troubles[:3]],
        ]
    why = found.troubles[0] if found.troubles else f"{path.name} has no row yet"
    level = problem if found.troubles else warning
    return [level(f"{config.name}: {why}.", "Compare the file's header and stamps with the configuration.")]


def _form(config: FileConfig, context: Context) -> Form:
    return Form(
        config.column,
        config.time,
        config.device or context.gateway,
        config.delimiter,
        config.decimal,
        config.encoding,
        config.comment,
        config.names,
        config.skip,
    )
