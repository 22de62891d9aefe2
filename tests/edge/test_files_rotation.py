"""A followed file that is renamed, copied, cut or written anew: each row once, whatever a logger does."""

# ruff: noqa: ASYNC240 - a test may write a small file on its loop

import asyncio
import os
import random
import shutil
from pathlib import Path
from typing import Any

import pytest

from qytet_edge.inbox.files import FileSource, create
from tests.edge.files_support import (
    HEADER,
    T0,
    TIME,
    append,
    config,
    context,
    leave_alone,
    look,
    row,
    rows,
    run,
    timed,
    values,
)
from tests.edge.memory_sink import MemorySink


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "log.csv"


def test_rotation_loses_nothing(log: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Renamed generations are read to their ends, also several at once after a long absence, then the new file."""

    async def work(sink: MemorySink) -> None:
        source = timed(log)
        log.write_text(HEADER + rows(0, 3))
        await look(source, sink)
        append(log, rows(3, 5) + f"{T0 + 5},5")  # no end: the logger was stopped
        for number in range(2, 0, -1):
            generation = log.with_name(f"log.csv.{number}")
            log.rename(generation)
            os.utime(generation, ns=(0, log.parent.stat().st_mtime_ns - number * 10**9))
            log.write_text(HEADER + rows(12 - 3 * number, 15 - 3 * number))
        leave_alone(monkeypatch)
        await look(source, sink)

    sink = run(work)
    assert values(sink) == list(range(12))
    assert sink.troubles == []


@pytest.mark.parametrize("form", [{}, {"time": TIME}], ids=["untimed", "timed"])
@pytest.mark.parametrize("begun", ["", HEADER, HEADER + rows(6, 8)], ids=["empty", "header", "rows"])
def test_a_writer_that_hears_of_the_rotation_late_loses_nothing(
    begun: str, form: dict[str, Any], log: Path
) -> None:
    """What comes to the old file after the new one was begun is read there, and only that."""

    async def work(sink: MemorySink) -> None:
        source = create(config(**form), context(log.parent))
        log.write_text(HEADER + rows(0, 4))
        await look(source, sink)
        old = log.rename(log.with_name("log.csv.1"))
        log.write_text(begun)
        await look(source, sink)
        await look(source, sink)
        append(old, rows(4, 6))
        await look(source, sink)
        append(log, (HEADER if not begun else "") + ("" if "6" in begun else rows(6, 8)) + rows(8, 9))
        await look(source, sink)

    sink = run(work)
    assert sorted(values(sink)) == list(range(9))
    assert sink.troubles == []


def test_half_a_line_of_a_rotated_file_is_no_row(log: Path) -> None:
    """A program that writes its buffer in pieces may end the old file a moment after it was renamed."""

    async def work(sink: MemorySink) -> None:
        source = timed(log)
        log.write_text(HEADER + rows(0, 2) + row(25)[:-2])
        await look(source, sink)
        old = log.rename(log.with_name("log.csv.1"))
        log.write_text(HEADER)
        await look(source, sink)
        await look(source, sink)
        append(old, row(25)[-2:])
        append(log, row(26))
        await look(source, sink)

    sink = run(work)
    assert sorted(values(sink)) == [0, 1, 25, 26]


def test_between_rename_and_the_new_file_nothing_is_missed(log: Path) -> None:
    """While there is no file of the name yet, the renamed one is followed."""

    async def work(sink: MemorySink) -> None:
        source = timed(log)
        log.write_text(HEADER + rows(0, 2))
        await look(source, sink)
        old = log.rename(log.with_name("log.csv.1"))
        append(old, rows(2, 3))
        await look(source, sink)
        assert values(sink) == [0, 1, 2]
        log.write_text(HEADER + rows(3, 4))
        await look(source, sink)

    assert values(run(work)) == [0, 1, 2, 3]


def test_copy_and_truncate_loses_nothing(log: Path) -> None:
    """A file that is copied away and cut to nothing is read to its end in the copy."""

    async def work(sink: MemorySink) -> None:
        source = timed(log)
        log.write_text(HEADER + rows(0, 3))
        await look(source, sink)
        append(log, rows(3, 6))
        shutil.copy(log, log.with_name("log.csv.1"))
        with log.open("r+") as file:
            file.truncate()
        append(log, HEADER + rows(6, 8))
        await look(source, sink)

    sink = run(work)
    assert values(sink) == list(range(8))
    assert sink.troubles == []


def test_a_file_that_is_written_anew_is_read_once(log: Path) -> None:
    """Written anew with all its rows it is the same file; with its oldest rows gone, known rows are told by time."""

    async def work(sink: MemorySink) -> None:
        source = timed(log)
        log.write_text(HEADER + rows(0, 5) + row(4).replace(",4", ",44"))
        await look(source, sink)
        other = log.with_name("new")
        other.write_text(log.read_text() + rows(5, 7))
        other.replace(log)
        await look(source, sink)
        assert sink.troubles == []
        other.write_text(HEADER + rows(3, 5) + row(4).replace(",4", ",44") + row(5) + rows(6, 9))
        other.replace(log)
        await look(source, sink)

    sink = run(work)
    assert values(sink) == [0, 1, 2, 3, 4, 44, 5, 6, 7, 8]
    assert len(sink.troubles) == 1
    assert "read from its beginning" in sink.troubles[0][1]


def test_a_file_that_is_written_anew_beside_its_backup_is_read_once(log: Path) -> None:
    """A program that keeps the old file under another name and writes all rows again makes nothing twice."""

    async def work(sink: MemorySink) -> None:
        source = timed(log)
        log.write_text(HEADER + rows(0, 5))
        await look(source, sink)
        append(log, rows(5, 6))
        log.rename(log.with_name("log.bak"))
        log.write_text(HEADER + rows(0, 8))
        await look(source, sink)

    sink = run(work)
    assert values(sink) == list(range(8))
    assert sink.troubles == []


def test_an_untimed_file_that_is_replaced_is_new(log: Path) -> None:
    """Without stamps nothing can be recognised: the new file's rows are new, and the possible loss is told."""

    async def work(sink: MemorySink) -> None:
        source = create(config(), context(log.parent))
        log.write_text("v\n1\n2\n")
        await look(source, sink)
        log.unlink()
        log.write_text("v\n2\n3\n")
        await look(source, sink)

    sink = run(work)
    assert values(sink) == [1, 2, 2, 3]
    assert {reading.t_ms for reading in sink.readings} == {None}
    assert "is lost" in sink.troubles[0][1]


class Logger:
    """An instrument's program that treats its file as such programs do; it knows what it wrote."""

    def __init__(self, log: Path, dice: random.Random) -> None:
        self.log = log
        self.dice = dice
        self.written = 0
        self.rest = ""
        self.generation = 0
        log.write_text(HEADER)

    def rows(self) -> None:
        """Some rows, of which the last may be cut off for now."""
        count = self.dice.randrange(1, 40)
        text = self.rest + rows(self.written, self.written + count)
        self.written += count
        cut = self.dice.randrange(0, 12)
        append(self.log, text[: len(text) - cut])
        self.rest = text[len(text) - cut :]

    def finish(self) -> None:
        append(self.log, self.rest)
        self.rest = ""

    def garbage(self) -> None:
        self.finish()
        append(self.log, self.dice.choice(["\n", "###\n", HEADER, "\0\0\n", "1;2;3\n"]))

    def rename(self) -> None:
        self.finish()
        self.generation += 1
        self.log.rename(self.log.with_name(f"log.csv.{self.generation}"))
        self.log.write_text(HEADER)

    def copy_and_truncate(self) -> None:
        self.finish()
        self.generation += 1
        shutil.copy(self.log, self.log.with_name(f"log.csv.{self.generation}"))
        with self.log.open("r+") as file:
            file.truncate()
        append(self.log, HEADER)

    def rewrite(self) -> None:
        self.finish()
        other = self.log.with_name("other")
        shutil.copy(self.log, other)
        other.replace(self.log)


@pytest.mark.parametrize("seed", range(5))
def test_whatever_a_logger_does_each_row_comes_once(seed: int, log: Path) -> None:
    """Seeded: rows, half rows, garbage, both rotations and rewriting, with a source that is killed at any moment."""

    async def work(sink: MemorySink) -> None:
        dice = random.Random(seed)
        logger = Logger(log, dice)
        await look(timed(log), sink)  # what was rotated away before the first look is not asked for
        for _ in range(25):
            for _ in range(dice.randrange(1, 4)):
                logger.rows()
            dice.choice(
                [logger.rows, logger.garbage, logger.rename, logger.copy_and_truncate, logger.rewrite]
            )()
            await _killed_somewhere(timed(log), sink, dice)
        logger.finish()
        await look(timed(log), sink)
        assert values(sink) == list(range(logger.written))

    run(work)


async def _killed_somewhere(source: FileSource, sink: MemorySink, dice: random.Random) -> None:
    """A look that ends before or after one of its transactions, or comes to its end."""
    puts, most, beats = sink.puts, dice.choice([0, 1, 2, 99]), sink.beats
    if most == 0:
        sink.room.clear()
    task = asyncio.create_task(source.run(sink))
    await sink.until(lambda: sink.waiting > 0 or sink.puts - puts >= most or sink.beats > beats)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    sink.room.set()
