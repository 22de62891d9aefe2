"""Progress is a bar with rate and time left for a person, and plain lines for a log."""

import io

from rich.console import Console

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
