"""Shows how far the writing is: a bar with rate and time left on a terminal, a line every tenth elsewhere."""

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)

__all__ = ["Say", "Shown", "silent", "to_terminal"]

_SOON_S = 0.5

Say = Callable[[str], None]


class Shown:
    """`say(text)` writes a line; `written(done, total)` moves the bar, bytes; within `paused()` there is no bar."""

    def __init__(
        self,
        say: Say,
        written: Callable[[int, int], None],
        paused: Callable[[], AbstractContextManager[None]] = nullcontext,
    ) -> None:
        self.say, self.written, self.paused = say, written, paused


def silent() -> Shown:
    """Shows nothing."""
    return Shown(lambda _text: None, lambda _done, _total: None)


@contextmanager
def to_terminal(console: Console) -> Iterator[Shown]:
    """Shows on this console; ends the bar when the block ends, however it does."""
    if not console.is_terminal:
        lines = _Lines(console)
        yield Shown(lines.say, lines.written)
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task("writing", total=None, visible=False)

        def written(done: int, total: int) -> None:
            if done < bar.tasks[0].completed:  # the run was repeated, or it is another board's
                bar.reset(task, total=total)
            bar.update(task, completed=done, total=total, visible=True)

        @contextmanager
        def paused() -> Iterator[None]:
            bar.stop()
            try:
                yield
            finally:
                bar.start()

        yield Shown(lambda text: bar.console.print(text, markup=False, highlight=False), written, paused)


class _Lines:
    """Plain lines for a log file or a pipe."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._begun = 0.0
        self._tenth = -1

    def say(self, text: str) -> None:
        self._console.print(text, markup=False, highlight=False, soft_wrap=True)

    def written(self, done: int, total: int) -> None:
        tenth = 10 * done // max(total, 1)
        if tenth < self._tenth:  # the run was repeated
            self._tenth = -1
        if self._tenth < 0:
            self._begun = time.monotonic()
        if tenth == self._tenth:
            return
        self._tenth = tenth
        self.say(f"writing: {10 * tenth} % of {total // 1024} KB{self._pace(done, total)}")

    def _pace(self, done: int, total: int) -> str:
        """Rate and time left, as soon as there is something to tell them by."""
        took = time.monotonic() - self._begun
        if not done or took < _SOON_S:
            return ""
        rate = done / took
        return f", {rate / 1024:.0f} KB/s, {(total - done) / rate:.0f} s left"
