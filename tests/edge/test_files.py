"""Following files: each row once, whatever logger, technician or power do to the file in between."""

# ruff: noqa: ASYNC240 - a test may write a small file on its loop

import asyncio
import os
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from qytet_edge.inbox.files import create, probe
from qytet_edge.inbox.files.place import PIECE
from tests.edge.files_support import (
    COLUMN,
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
        await sink.until(lambda: sink.puts >= 1)
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


def test_a_file_a_day(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Files of a pattern are read in order; an older one is read to its end even if its last line has none."""

    async def work(sink: MemorySink) -> None:
        source = create(config("day-*.csv", time=TIME), context(tmp_path))
        (tmp_path / "day-1.csv").write_text(HEADER + rows(0, 2) + row(2).rstrip())
        (tmp_path / "day-2.csv").write_text(HEADER + rows(3, 5) + row(5).rstrip())
        await look(source, sink)
        assert values(sink) == [0, 1, 3, 4]
        leave_alone(monkeypatch)
        await look(source, sink)
        assert values(sink) == [0, 1, 3, 4, 2]  # the newest may still grow
        monkeypatch.undo()
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
