"""Progress is a bar with rate and time left for a person, and plain lines for a log."""

import contextlib
import io
import itertools
from typing import Any

import pytest
from rich.console import Console
from rich.progress import Progress, ProgressColumn

from qytet_bench import progress
from qytet_bench.progress import to_terminal

MB = 1 << 20


def test_a_log_gets_a_line_every_tenth() -> None:
    """Without a terminal each tenth is one line, and a run that is repeated begins again."""
    out = io.StringIO()
    with to_terminal(Console(file=out)) as shown:
        for done in (*range(0, 5 * MB, MB // 7), *range(0, 10 * MB + 1, MB // 7), 10 * MB):
            shown.written(done, 10 * MB)
        shown.say("[red] is no colour here, and a long line stays one line: " + "x" * 300)
    lines = out.getvalue().splitlines()
    percents = [int(line.split()[1]) for line in lines if line.startswith("writing:")]
    assert percents == [0, 10, 20, 30, 40, *range(0, 101, 10)]
    assert lines[-1].startswith("[red]")


def test_a_terminal_gets_a_bar_that_ends() -> None:
    """On a terminal size, rate and time left are shown while it writes; what is said stays above the bar."""
    out = io.StringIO()
    with to_terminal(Console(file=out, force_terminal=True, width=100)) as shown:
        shown.written(0, 4 * MB)
        shown.written(MB, 4 * MB)
        shown.say("The connection broke off. Trying again.")
        shown.written(4 * MB, 4 * MB)
    text = out.getvalue()
    assert "4.2/4.2 MB" in text
    assert "/s" in text
    assert "0:00:00" in text
    assert "Trying again." in text


@pytest.fixture
def bars(monkeypatch: pytest.MonkeyPatch) -> list[Progress]:
    """The bars that are made; each look at their clock is a second later."""
    made: list[Progress] = []
    seconds = itertools.count()

    def make(*columns: ProgressColumn, **options: Any) -> Progress:
        made.append(Progress(*columns, **options, auto_refresh=False, get_time=lambda: float(next(seconds))))
        return made[-1]

    monkeypatch.setattr(progress, "Progress", make)
    return made


def test_the_next_board_has_a_rate_and_a_time_of_its_own(bars: list[Progress]) -> None:
    """A bar that was full begins anew with the next board of the same size: it is not done, and some time is left."""
    with to_terminal(Console(file=io.StringIO(), force_terminal=True)) as shown:
        for done in (0, 5 * MB, 10 * MB, 0, 1 * MB, 2 * MB):
            shown.written(done, 10 * MB)
        (task,) = bars[0].tasks
        assert task.completed == 2 * MB
        assert not task.finished
        assert task.time_remaining


def test_nothing_moves_while_a_person_is_asked(bars: list[Progress]) -> None:
    """A question stands alone: the bar is gone until it is answered, also if the answer is Ctrl-C."""
    with to_terminal(Console(file=io.StringIO(), force_terminal=True)) as shown:
        shown.written(1, 2)
        with contextlib.suppress(KeyboardInterrupt), shown.paused():
            assert not bars[0].live.is_started
            raise KeyboardInterrupt
        assert bars[0].live.is_started
