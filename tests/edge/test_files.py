"""Following files: each row once, whatever logger, technician or power do to the file in between."""

# ruff: noqa: ASYNC240 - a test may write a small file on its loop

import asyncio
import os
import random
import shutil
from collections import Counter
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from qytet_edge.inbox.files import FileConfig, FileSource, create, probe
from qytet_edge.inbox.files.place import PIECE
from qytet_edge.inbox.kinds import Context
from tests.edge.memory_sink import MemorySink

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


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "log.csv"


def timed(log: Path, **more: Any) -> FileSource:
    source = create(config(time=TIME, **more), context(log.parent))
    assert isinstance(source, FileSource)
    return source


def append(log: Path, text: str) -> None:
    with log.open("a", encoding="utf-8") as file:
        file.write(text)


def test_rows_come_as_they_are_appended(log: Path) -> None:
    """What stands in the file and what is added while the source runs arrives once, in order, with its time."""

    async def work(sink: MemorySink) -> None:
        log.write_text(HEADER + rows(0, 3))
        task = asyncio.create_task(timed(log).run(sink))
        await sink.until(lambda: len(sink.readings) == 3)
        append(log, rows(3, 5))
        await sink.until(lambda: len(sink.readings) == 5)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    sink = run(work)
    assert values(sink) == [0, 1, 2, 3, 4]
    assert [reading.t_ms for reading in sink.readings] == [T0 + number for number in range(5)]
    assert {reading.device for reading in sink.readings} == {"gw-01"}
    assert sink.troubles == []


def test_a_half_line_waits_for_its_end(log: Path) -> None:
    """A row that the logger has not finished is not read as a shorter number."""

    async def work(sink: MemorySink) -> None:
        source = timed(log)
        log.write_text(HEADER + row(0) + f"{T0 + 1},12")
        await look(source, sink)
        assert values(sink) == [0]
        append(log, "34\n")
        await look(source, sink)
        assert values(sink) == [0, 1234]

    run(work)


def test_a_restart_continues_where_the_spool_ends(log: Path) -> None:
    """A source that dies before its rows are kept reads them again; rows that are kept are not read again."""

    async def work(sink: MemorySink) -> None:
        log.write_text(HEADER + rows(0, 2500))
        sink.room.clear()
        task = asyncio.create_task(timed(log).run(sink))
        await sink.until(lambda: sink.waiting == 1)
        task.cancel()  # before the transaction
        await asyncio.gather(task, return_exceptions=True)
        assert sink.readings == []
        sink.room.set()
        task = asyncio.create_task(timed(log).run(sink))
        await sink.until(lambda: sink.puts == 1)
        task.cancel()  # between two transactions
        await asyncio.gather(task, return_exceptions=True)
        await look(timed(log), sink)

    assert values(run(work)) == list(range(2500))


def test_bad_rows_are_told_by_number_and_stop_nothing(log: Path) -> None:
    """Garbage, short rows, bad stamps and bad cells are counted with their line; every good row arrives."""
    bad = [
        b"garbage\n",
        b"1,2,\xff\xfe\n",
        b'"never closed\n',
        b"yesterday,1\n",
        b"%d,abc\n" % (T0 + 3),
        b"\0\0\n",
    ]

    async def work(sink: MemorySink) -> None:
        with log.open("wb") as file:
            file.write(HEADER.encode())
            for number, line in enumerate(bad):
                file.write(line + row(number).encode())
        await look(timed(log), sink)

    sink = run(work)
    assert values(sink) == list(range(len(bad)))
    assert [int(what.split("line ")[1].split(":")[0]) for _, what in sink.troubles] == [2, 4, 6, 8, 10]
    assert all(what.startswith("log.csv, line") for _, what in sink.troubles)


def test_a_power_cut_leaves_holes_and_endless_lines(log: Path) -> None:
    """NULs of unwritten blocks are passed over, and a line without end is bounded; rows after them arrive."""

    async def work(sink: MemorySink) -> None:
        with log.open("wb") as file:
            file.write((HEADER + row(0)).encode() + bytes(3 * PIECE + 5) + row(1).encode())
            file.write(b"x" * (2 * PIECE + 7) + b"\n" + row(2).encode() + bytes(500))
        await look(timed(log), sink)
        with log.open("r+b") as file:  # the logger fills what it had allocated
            file.seek(-500, os.SEEK_END)
            file.write(row(3).encode())
        await look(timed(log), sink)

    sink = run(work)
    assert values(sink) == [0, 1, 2, 3]
    assert any("longer than a line" in what for _, what in sink.troubles)


def test_a_header_may_come_again_and_change(log: Path) -> None:
    """A logger that starts anew writes its header again; when columns change places, values follow them."""

    async def work(sink: MemorySink) -> None:
        log.write_text("\ufeff" + HEADER + row(0) + HEADER + row(1) + f"v,w,t\n2,9,{T0 + 2}\n")
        await look(timed(log), sink)
        append(log, f"3,9,{T0 + 3}\n")
        await look(timed(log), sink)

    sink = run(work)
    assert values(sink) == [0, 1, 2, 3]
    assert sink.troubles == []


def test_a_file_without_the_configured_column_is_not_consumed(log: Path) -> None:
    """A misspelt column is told and nothing is passed over: when the configuration is mended all rows arrive."""

    async def work(sink: MemorySink) -> None:
        log.write_text(HEADER + rows(0, 5))
        wrong = create(config(time=TIME, column=[COLUMN | {"column": "V"}]), context(log.parent))
        await look(wrong, sink)
        assert "there is no column 'V'; there are t, v" in sink.troubles[0][1]
        assert sink.readings == []
        await look(timed(log), sink)

    assert values(run(work)) == list(range(5))


def test_rotation_loses_nothing(log: Path) -> None:
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


def test_a_file_a_day(tmp_path: Path) -> None:
    """Files of a pattern are read in order; an older one is read to its end even if its last line has none."""

    async def work(sink: MemorySink) -> None:
        source = create(config("day-*.csv", time=TIME), context(tmp_path))
        (tmp_path / "day-1.csv").write_text(HEADER + rows(0, 2) + row(2).rstrip())
        (tmp_path / "day-2.csv").write_text(HEADER + rows(3, 5) + row(5).rstrip())
        await look(source, sink)
        assert values(sink) == [0, 1, 3, 4]
        os.utime(tmp_path / "day-1.csv", (0, 0))
        os.utime(tmp_path / "day-2.csv", (0, 0))
        await look(source, sink)
        assert values(sink) == [0, 1, 3, 4, 2]  # the newest may still grow
        append(tmp_path / "day-2.csv", "\n")
        (tmp_path / "day-3.csv").write_text(HEADER + rows(6, 7))
        await look(source, sink)

    sink = run(work)
    assert sorted(values(sink)) == list(range(7))
    assert len(sink.checkpoints) == 3


def test_one_file_that_cannot_be_read_keeps_no_other_waiting(tmp_path: Path) -> None:
    """A folder in place of a file, or a file without its header, is told; the others are read."""

    async def work(sink: MemorySink) -> None:
        (tmp_path / "day-1.csv").mkdir()
        (tmp_path / "day-2.csv").write_text("nothing,here\n1,2\n")
        (tmp_path / "day-3.csv").write_text(HEADER + row(1))
        await look(create(config("day-*.csv", time=TIME), context(tmp_path)), sink)

    sink = run(work)
    assert values(sink) == [1]
    assert ["day-2.csv" in what for _, what in sink.troubles] == [True]


def test_a_trouble_that_lasts_is_told_once(log: Path) -> None:
    """A file that is not there is one trouble, not one a look; it is no sign of life."""

    async def work(sink: MemorySink) -> None:
        task = asyncio.create_task(timed(log).run(sink))
        await sink.until(lambda: bool(sink.troubles))
        log.write_text(HEADER + row(0))
        await sink.until(lambda: len(sink.readings) == 1)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    assert [what for _, what in run(work).troubles] == [f"there is no file {log}"]


def test_other_forms_of_tables(log: Path) -> None:
    """Preamble, comments, semicolons, decimal commas, Latin-1 and files without a header are read as told."""

    async def work(sink: MemorySink) -> None:
        log.write_bytes("Logger n° 7\n# a comment\nt;Temp °C\n# more\n1789000000;21,5\n".encode("latin-1"))
        columns = [{"column": "Temp °C", "key": "air_temperature"}]
        form = {"delimiter": ";", "decimal": ",", "encoding": "latin-1", "comment": "#", "skip": 1}
        time = {"column": "t", "format": "unix", "quality": "ntp"}
        await look(create(config(column=columns, time=time, **form), context(log.parent)), sink)
        bare = log.with_name("bare.csv")
        bare.write_text(row(1))
        await look(create(config("bare.csv", names=["t", "v"], time=TIME), context(log.parent)), sink)

    sink = run(work)
    assert [dict(reading.values) for reading in sink.readings] == [
        {"air_temperature": 21.5},
        {"vehicle_count": 1},
    ]
    assert (sink.readings[0].t_ms, sink.readings[0].tq) == (1789000000000, "ntp")


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


def test_doctor_compares_file_and_configuration(log: Path) -> None:
    """No file, an empty one, a wrong header and a good file are told apart; nothing is kept."""

    def levels(**more: Any) -> list[str]:
        return [found.state for found in asyncio.run(probe(config(time=TIME, **more), context(log.parent)))]

    assert levels() == ["problem"]
    log.write_text(HEADER)
    assert levels() == ["warning"]
    append(log, row(1))
    assert levels() == ["ok"]
    assert levels(column=[COLUMN | {"column": "V"}]) == ["problem"]
    append(log, "garbage\n")
    assert levels() == ["ok", "warning"]


def test_a_configuration_that_contradicts_itself_is_refused() -> None:
    """Two columns for one datastream would lose one of them."""
    with pytest.raises(ValidationError, match="two columns hold vehicle_count"):
        config(column=[COLUMN, COLUMN | {"column": "w"}])


def test_streams_follow_from_configuration_and_header(log: Path) -> None:
    """What births announce: fixed datastreams at once, those of a pattern when the header is known."""

    async def work(sink: MemorySink) -> None:
        wide = {"match": "l.", "device": "loop-{column}", "key": "vehicle_speed_mean"}
        source = create(config(column=[COLUMN, wide]), context(log.parent))
        assert source.streams == {"gw-01": ["vehicle_count"]}
        log.write_text("v,l1,l2\n1,2,3\n")
        await look(source, sink)
        assert source.streams == {
            "gw-01": ["vehicle_count"],
            "loop-l1": ["vehicle_speed_mean"],
            "loop-l2": ["vehicle_speed_mean"],
        }

    sink = run(work)
    assert Counter(reading.device for reading in sink.readings) == {"gw-01": 1, "loop-l1": 1, "loop-l2": 1}
