"""What comes out of a node's console, put together: lines with their level, tracebacks in one piece, nothing secret.

A board may say anything: control characters are taken out (a terminal would obey them), lines and tracebacks are
bounded, and what is no text is counted instead of shown.
"""

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from qytet_bench.failures import ErrorNumber, Failure, decode, errors_in

__all__ = ["Assembler", "Redactor", "Said"]

HIDDEN = "•••"
_LONGEST = 4096
_TRACEBACK_LINES = 60
_TRACEBACK = "Traceback (most recent call last):"
_PROMPTS = (b">>> ", b"... ", b"=== ")
_ANSI = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|[@-_])")
_NODE = re.compile(r"(\d+) (debug|info|warning|error) (.*)", re.DOTALL)
_IDF = re.compile(r"([EWID]) \((\d+)\) (.*)", re.DOTALL)
_IDF_LEVELS = {"E": "error", "W": "warning", "I": "info", "D": "debug"}
_SECRET = re.compile(
    r"""((?:pass(?:word|wd|phrase)?|psk|secret|token|credential)["']?\s*[:=]\s*)("[^"]*"|'[^']*'|[^\s,}]+)""",
    re.IGNORECASE,
)
_SHORTEST_SECRET = 6
"""A shorter value would take half of every line with it; no password of ours is shorter."""
_UNREADABLE = 0.3
_TELLING_BYTES = 8


@dataclass(frozen=True, slots=True)
class Said:
    """One thing that the console said; `kind` is node, idf, traceback, line or note (the bench's own word).

    `up_ms` is the node's uptime, where it tells.
    """

    at: datetime
    kind: str
    level: str
    text: str
    up_ms: int | None = None
    failure: Failure | None = None
    errors: tuple[ErrorNumber, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        found: dict[str, Any] = {
            "at": self.at.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "kind": self.kind,
            "level": self.level,
            "up_ms": self.up_ms,
            "text": self.text,
        }
        if self.failure is not None:
            row = self.failure
            found["failure"] = {"id": row.id, "what": row.title, "why": row.why, "do": row.do}
        if self.errors:
            found["errors"] = [{"number": e.number, "name": e.name, "means": e.means} for e in self.errors]
        return found


class Redactor:
    """Takes secrets out of text: those that are known, and whatever stands behind a word like password."""

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        known = {form for secret in secrets if len(secret) >= _SHORTEST_SECRET for form in _forms(secret)}
        self._known = sorted(known, key=len, reverse=True)

    def __call__(self, text: str) -> str:
        """The text without them."""
        for secret in self._known:
            text = text.replace(secret, HIDDEN)
        return _SECRET.sub(rf"\g<1>{HIDDEN}", text)


def _forms(secret: str) -> set[str]:
    """A secret as it is, and as JSON and Python write it."""
    return {
        secret,
        json.dumps(secret)[1:-1],
        json.dumps(secret, ensure_ascii=False)[1:-1],
        repr(secret)[1:-1],
    }


class Assembler:
    """Bytes in, what was said out."""

    def __init__(self, redact: Redactor | None = None) -> None:
        self._redact = redact or Redactor()
        self._line = bytearray()
        self._traceback: list[str] = []

    def feed(self, data: bytes) -> list[Said]:
        """What is complete after these bytes."""
        found: list[Said] = []
        self._line += data
        while b"\n" in self._line or len(self._line) > _LONGEST:
            line, _, rest = bytes(self._line).partition(b"\n")
            if len(line) > _LONGEST:
                line, rest = bytes(self._line[:_LONGEST]), bytes(self._line[_LONGEST:])
            self._line = bytearray(rest)
            found += self._take(_readable(line))
        return found

    def flush(self) -> list[Said]:
        """What has begun and is not complete: the console has fallen silent, or is gone."""
        found: list[Said] = []
        if self._line:
            line, self._line = bytes(self._line), bytearray()
            found += self._take(_readable(line))
        return found + self._end_of_traceback()

    @property
    def pending(self) -> bool:
        """Whether something has begun."""
        return bool(self._line or self._traceback)

    @property
    def at_prompt(self) -> bool:
        """Whether what has begun is a prompt of MicroPython, behind which no end of line will come."""
        return self._line.endswith(_PROMPTS)

    def note(self, text: str, level: str = "warning") -> Said:
        """The bench's own word."""
        return Said(datetime.now(UTC), "note", level, text)

    def _take(self, text: str) -> list[Said]:
        if not text.strip():
            return []
        if text.startswith(_TRACEBACK):
            before = self._end_of_traceback()
            self._traceback = [text]
            return before
        if self._traceback:
            self._traceback.append(text)
            if text.startswith("  ") and len(self._traceback) < _TRACEBACK_LINES:
                return []
            return self._end_of_traceback()
        return [self._said(text)]

    def _end_of_traceback(self) -> list[Said]:
        lines, self._traceback = self._traceback, []
        return [self._made("traceback", "error", "\n".join(lines))] if lines else []

    def _said(self, text: str) -> Said:
        if found := _NODE.fullmatch(text):
            return self._made("node", found[2], found[3], int(found[1]))
        if found := _IDF.fullmatch(text):
            return self._made("idf", _IDF_LEVELS[found[1]], found[3], int(found[2]))
        return self._made("line", "", text)

    def _made(self, kind: str, level: str, text: str, up_ms: int | None = None) -> Said:
        telling = text.rpartition("\n")[2] if kind == "traceback" else text
        failure = decode(telling)
        level = level or (failure.level if failure else "")
        shown = self._redact(text)
        return Said(datetime.now(UTC), kind, level, shown, up_ms, failure, tuple(errors_in(telling)))


def _readable(line: bytes) -> str:
    """Text that does no harm in a terminal."""
    text = _ANSI.sub("", line.decode("utf-8", errors="replace")).replace("\t", "    ")
    shown = "".join(c for c in text if c.isprintable() and c != "\ufffd")
    lost = len(text.rstrip("\r")) - len(shown)
    if len(text) >= _TELLING_BYTES and lost > len(text) * _UNREADABLE:
        return f"garbage: {len(line)} bytes that are no text"
    return shown.rstrip()
