"""What a logger does between any two of our own steps: a file that is read while it is rotated, cut or written."""

import os
import shutil
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

from qytet_edge.inbox.files import create
from qytet_edge.inbox.files.follow import FileSource
from qytet_edge.inbox.files.reader import Progress
from tests.edge.files_support import HEADER, append, config, context, leave_alone, row, rows


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "log.csv"


def _renamed(log: Path) -> None:
    log.rename(log.with_name("log.csv.1"))
    log.write_text(HEADER + rows(3, 7))


def _copied_and_cut(log: Path) -> None:
    shutil.copy(log, log.with_name("log.csv.1"))
    with log.open("r+") as file:
        file.truncate()
    append(log, HEADER + rows(3, 7))


def _written_anew(log: Path) -> None:
    other = log.with_name("other")
    other.write_text(log.read_text() + rows(3, 7))
    other.replace(log)


@pytest.mark.parametrize(
    ("begun", "then", "deed"),
    [
        *((HEADER + rows(0, 1), rows(1, 3), deed) for deed in (_renamed, _copied_and_cut, _written_anew)),
        (HEADER, rows(0, 3), _copied_and_cut),
        ("", HEADER + rows(0, 3), _copied_and_cut),
    ],
    ids=["renamed", "cut", "written-anew", "cut-below-a-header", "cut-when-empty"],
)
def test_between_any_two_lines_of_ours_a_logger_may_do_so(
    begun: str, then: str, deed: Callable[[Path], None], tmp_path: Path
) -> None:
    """Wherever in a look the file is rotated, cut or written anew, each row comes once."""
    moment = 1
    settings = config()
    while True:
        folder = tmp_path / str(moment)
        folder.mkdir()
        log = folder / "log.csv"
        log.write_text(begun)
        source = create(settings, context(folder))
        assert isinstance(source, FileSource)
        found = Moment(moment, partial(deed, log))
        found.read(source, log)
        append(log, then)
        with found:
            found.read(source, log)
        if found.passed < moment:  # it was over before
            break
        for _ in range(3):
            found.read(source, log)
        assert found.values == list(range(7)), f"at line {moment} of the look"
        moment += 1
    assert moment > 80


def test_a_half_line_that_is_ended_after_our_read_is_no_row(
    log: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file was left alone for long and is written to while we look at it: what we hold may be half a line."""
    log.write_text(HEADER + rows(0, 3) + row(66)[:-2])
    source = create(config(), context(log.parent))
    assert isinstance(source, FileSource)
    found, read = Moment(), os.pread

    def ended(*what: int) -> bytes:
        monkeypatch.setattr(os, "pread", read)
        data = read(*what)
        append(log, row(66)[-2:])
        return data

    leave_alone(monkeypatch)
    monkeypatch.setattr(os, "pread", ended)
    found.read(source, log)
    found.read(source, log)
    assert found.values == [0, 1, 2, 66]


def test_half_a_line_of_long_ago_is_no_row_once_the_file_is_renamed(log: Path) -> None:
    """A program that writes its buffer in pieces ends the line when it hears of the rotation, however late."""
    log.write_text(HEADER + rows(0, 3) + row(66)[:-2])
    source = create(config(), context(log.parent))
    assert isinstance(source, FileSource)
    found = Moment()
    found.read(source, log)
    os.utime(log, (0, 0))
    old = log.rename(log.with_name("log.csv.1"))
    log.write_text(HEADER)
    found.read(source, log)
    append(old, row(66)[-2:])
    found.read(source, log)
    assert found.values == [0, 1, 2, 66]


class Moment:
    """Reads a file step by step; while its block lasts, something happens before the so-manieth line of ours."""

    def __init__(self, at: int = 0, happens: Callable[[], None] = lambda: None) -> None:
        self.passed = 0
        self.values: list[Any] = []
        self._at, self._happens = at, happens
        self._progress = Progress()

    def __enter__(self) -> None:
        self._before = sys.gettrace()
        sys.settrace(self._trace)

    def __exit__(self, *_: object) -> None:
        sys.settrace(self._before)

    def read(self, source: FileSource, log: Path) -> None:
        """Look at the file once, to its end."""
        more = True
        while more:
            try:
                found = source.step(log, self._progress, newest=False)
            except FileNotFoundError:
                return  # as the source: the next look finds out
            more = found.more
            if found.changed:
                self._progress = found.progress
                self.values += [reading.values["vehicle_count"] for reading in found.readings]

    def _trace(self, frame: FrameType, event: str, _fact: object) -> Any:
        if not frame.f_code.co_filename.endswith(_READERS):
            return None
        if event == "line":
            self.passed += 1
            if self.passed == self._at:
                sys.settrace(None)
                self._happens()
                sys.settrace(self._trace)
        return self._trace


_READERS = ("/files/place.py", "/files/generations.py")
