"""Listens to the node's console beside the acceptance, and remembers what went wrong there."""

import threading
import time
from collections import deque
from types import TracebackType
from typing import Self

from qytet.errors import QytetError
from qytet_bench.acceptance.check import Check, State, failed, passed, skipped
from qytet_bench.console import Redactor, Said
from qytet_bench.line import Line
from qytet_bench.monitor import follow

__all__ = ["Watch"]

_KEPT = 200
_LEAST_S = 5.0
"""Who has listened for less has heard nothing: a node that is well says nothing for seconds."""
_OPENING_S = 5.0
"""On some machines opening the port resets the board: a restart so soon is ours, and no fault of the node."""
_LINE_GROUPS = ("Network", "Time", "Broker")
_TITLE, _EXPECTED = "Console", "no error, no crash, no restart"


class Watch:
    """A context manager; `port` empty: nothing is heard. Raises QytetError if the port cannot be opened."""

    def __init__(self, port: str, redact: Redactor) -> None:
        self._line = Line(port) if port else None
        self._redact = redact
        self._stop = threading.Event()
        self._begun = time.monotonic()
        self._lock = threading.Lock()
        self._said: deque[Said] = deque(maxlen=_KEPT)
        self._wrong: deque[Said] = deque(maxlen=_KEPT)
        self._gone = self._away = ""
        self._thread = threading.Thread(target=self._run, name="console")

    def __enter__(self) -> Self:
        if self._line is not None:
            self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        if self._line is not None:
            self._thread.join(10)
            self._line.close()

    def check(self) -> Check:
        """Whether the console tells of anything wrong; its warnings are shown, and do not count."""
        if self._line is None:
            return skipped("console", _TITLE, "without the cable (--port)", _EXPECTED)
        said = self._heard()
        if self._wrong:
            last = self._wrong[-1]
            seen = f"{len(self._wrong)} times, the last: {last.text.rpartition(chr(10))[2]}"
            do = last.failure.do if last.failure else "Note it and tell the maintainers."
            return failed("console", _TITLE, seen, _EXPECTED, do, settled=True)
        if away := self._gone or self._away:
            do = "Look after the cable: what the board says meanwhile is not heard."
            return failed("console", _TITLE, away, _EXPECTED, do, settled=bool(self._gone))
        listened = time.monotonic() - self._begun
        if listened < _LEAST_S:
            do = f"It is listened to for {_LEAST_S:.0f} s at least: give it time (--within)."
            return failed("console", _TITLE, f"listened to for {listened:.0f} s", _EXPECTED, do)
        warnings = sorted({one.text for one in said if one.level == "warning" and one.kind == "node"})
        lines = "; ".join(warnings[-3:]) or ("nothing wrong" if said else "nothing was said")
        return passed("console", _TITLE, f"{lines} in {listened:.0f} s", _EXPECTED)

    def explained(self, check: Check) -> Check:
        """A failed check with what the console says about it."""
        if check.state is not State.FAILED:
            return check
        last = next((one for one in reversed(self._heard()) if _concerns(one, check.id)), None)
        if last is None or last.failure is None:
            return check
        do = f"The console says: {last.text} ({last.failure.title}). {last.failure.do}"
        return failed(check.id, check.title, check.seen, check.expected, do, settled=check.settled)

    def _is_ours(self, said: Said) -> bool:
        restarted = said.failure is not None and said.failure.id == "reset-power"
        # Not by `said.at`, which a clock that is set would move.
        return restarted and time.monotonic() - self._begun < _OPENING_S

    def _take(self, said: Said) -> None:
        with self._lock:
            self._said.append(said)
            if said.kind == "note":
                self._away = said.text if said.level == "warning" else ""
            elif _is_wrong(said) and not self._is_ours(said):
                self._wrong.append(said)

    def _heard(self) -> list[Said]:
        with self._lock:
            return list(self._said)

    def _run(self) -> None:
        assert self._line is not None
        try:
            for said in follow(self._line, self._redact, is_cancelled=self._stop.is_set):
                self._take(said)
        except QytetError as error:
            self._gone = error.what


def _is_wrong(said: Said) -> bool:
    if said.failure is not None and said.failure.group == "Chip":
        return said.failure.id != "garbage"  # a restart, whoever ordered it, is no state to be accepted in
    return said.level == "error"


def _concerns(said: Said, id_: str) -> bool:
    if said.failure is None:
        return False
    kind, _, name = id_.partition(":")
    if kind == "sensor":
        return said.text.startswith(f"sensor {name}:")
    return kind in ("heard", "stored", "clock", "backlog") and said.failure.group in _LINE_GROUPS
