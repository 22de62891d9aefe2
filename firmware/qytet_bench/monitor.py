"""Follows a node's console: through resets, pulled cables and renamed ports, until somebody has heard enough."""

import json
import time
from collections.abc import Callable, Iterable, Iterator

from rich.console import Console
from rich.text import Text

from qytet_bench.console import Assembler, Redactor, Said
from qytet_bench.line import Line, LineGoneError

__all__ = ["Printer", "follow"]

_SLICE_S = 0.25
_PROMPT_S = 0.2
"""After so long without a byte a prompt is shown as it is: it has no end of line."""
_CUT_S = 2.0
"""And so any other line that has begun. A network, or a machine that stands still, parts a line for a second; its
halves would be neither decoded nor found by `--until`, and half a secret would not be known for one."""
_BACK_S = 3600.0
_AGAIN_S = 60.0
_STYLES = {"debug": "dim", "info": "", "warning": "yellow", "error": "red", "": "dim"}


def follow(
    line: Line,
    redact: Redactor | None = None,
    *,
    until: float | None = None,
    is_cancelled: Callable[[], bool] = lambda: False,
) -> Iterator[Said]:
    """What is said, as it comes; ends at `until` (`time.monotonic`) or soon after it is cancelled.

    A port that vanishes is waited for (an hour at most; then LineGoneError).
    """
    parts = Assembler(redact)
    heard_at = time.monotonic()
    while not is_cancelled() and (until is None or time.monotonic() < until):
        # Before the read: what came while this process stood still is read yet.
        quiet_s = time.monotonic() - heard_at
        try:
            data = line.read(_soon(until))
        except LineGoneError:
            yield from parts.flush()
            yield parts.note(f"{line.url} has gone: waiting for it")
            if not _back(line, until, is_cancelled):
                return
            yield parts.note(f"{line.url} is back", "info")
            continue
        if data:
            heard_at = time.monotonic()
            yield from parts.feed(data)
        elif parts.pending and quiet_s > (_PROMPT_S if parts.at_prompt else _CUT_S):
            yield from parts.flush()
    yield from parts.flush()


def _soon(until: float | None) -> float:
    soon = time.monotonic() + _SLICE_S
    return soon if until is None else min(soon, until)


def _back(line: Line, until: float | None, is_cancelled: Callable[[], bool]) -> bool:
    limit = _BACK_S if until is None else max(until - time.monotonic(), 0.0)
    try:
        line.reopen(limit, is_cancelled)
    except LineGoneError:
        if until is None and not is_cancelled():
            raise
        return False
    return True


class Printer:
    """Shows what is said, for people or as JSON lines; a failure's advice once in a minute, not at each line."""

    def __init__(self, console: Console, *, as_json: bool) -> None:
        self._console, self._as_json = console, as_json
        self._advised: dict[str, float] = {}

    def show(self, said: Said) -> None:
        """One thing."""
        if self._as_json:
            self._console.file.write(json.dumps(said.as_dict(), ensure_ascii=False) + "\n")
            self._console.file.flush()
            return
        local = said.at.astimezone()
        stamp = f"{local:%H:%M:%S}.{local.microsecond // 1000:03d} "
        mark = {"note": "-- ", "node": f"{said.level:<8}"}.get(said.kind, "")
        text = Text(stamp, style="dim", end="\n", no_wrap=False)
        text.append(mark + said.text, style=_STYLES.get(said.level, ""))
        self._console.print(text, soft_wrap=True)
        for words in self._advice(said):
            self._console.print(Text(f"             {words}", style="cyan"), soft_wrap=True)

    def _advice(self, said: Said) -> Iterable[str]:
        row, now = said.failure, time.monotonic()
        for error in said.errors:
            yield f"= {error.name}: {error.means}"
        if row is None or row.level == "info":
            return
        yield f"= {row.title}"
        if now - self._advised.get(row.id, -_AGAIN_S) >= _AGAIN_S:
            self._advised[row.id] = now
            yield f"  why: {row.why}"
            yield f"  do:  {row.do}"
