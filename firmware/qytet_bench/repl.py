"""MicroPython's raw prompt on a line: interrupts what runs, runs code on the board, and tells what it printed.

Code goes over in raw-paste mode, which the board paces itself (docs.micropython.org, "The MicroPython interactive
interpreter mode"): nothing is lost at any speed, and nothing secret stands in a command line. The board may begin anew
at any moment; that is told apart from silence, as whoever asked then begins anew too.
"""

import struct
import time
from collections.abc import Callable

from qytet_bench.line import BoardCodeError, Line, RestartedError, SilentError

__all__ = ["Repl"]

_CTRL_A, _CTRL_B, _CTRL_C, _CTRL_D = b"\x01", b"\x02", b"\x03", b"\x04"
_BANNER = b"raw REPL; CTRL-B to exit\r\n>"
_RAW_PASTE = b"\x05A\x01"
_MORE, _ENOUGH = 0x01, 0x04
_RESTARTS = (b"rst:0x", b"MPY: soft reboot", b"Guru Meditation", b"Brownout detector", b"ets Jul", b"ets Jun")
_KNOCK_S = 0.4
"""Pause between two Ctrl-C: a board that boots listens for a moment only, and one that computes takes its time."""
_PASTE_S = 5.0


class Repl:
    """The raw prompt of the board on `line`; `enter` before anything else."""

    def __init__(self, line: Line) -> None:
        self.line = line
        self._kept = b""

    # ---- in and out

    def enter(self, deadline_s: float = 15.0, reset_after_s: float = 6.0) -> None:
        """Interrupt what runs, until the raw prompt is there; after a while reset the board by the line, once.

        Raises SilentError, LineGoneError.
        """
        end = time.monotonic() + deadline_s
        reset_at = time.monotonic() + reset_after_s
        heard = b""
        while time.monotonic() < end:
            if time.monotonic() >= reset_at:
                self.line.reset()
                reset_at = end
            self.line.write(b"\r" + _CTRL_C + _CTRL_C)
            heard = (heard + self._drain(0.05))[-4096:]
            self.line.write(b"\r" + _CTRL_A)
            heard, found = self._hear(_BANNER, heard, min(time.monotonic() + _KNOCK_S, end))
            if found and self._is_really_raw():
                return
        raise _no_prompt(self.line.url, heard)

    def booted(self, deadline_s: float = 5.0) -> None:
        """Return when a board that begins anew shows its prompt, or runs a program, or at the deadline.

        Whoever knocks earlier may interrupt what mounts its files.
        """
        end, heard = time.monotonic() + deadline_s, b""
        while b">>> " not in heard and (data := self.line.read(end)):
            heard = (heard + data)[-256:]

    def let_go(self) -> None:
        """Start main.py, wherever the prompt was: a soft reset from the friendly prompt."""
        for keys in (_CTRL_C + _CTRL_C, b"\r" + _CTRL_B, b"\r" + _CTRL_C, _CTRL_D):
            self.line.write(keys)
            self._drain(0.1)

    def restart(self) -> None:
        """Reset the chip; returns at once, and the board is no longer at its raw prompt."""
        self._send(b"import machine\nmachine.reset()\n")

    # ---- running code

    def run(self, code: str, deadline_s: float = 15.0) -> str:
        """What the code prints. Raises BoardCodeError, RestartedError, SilentError, LineGoneError."""
        self._send(code.encode())
        out = self._until(_CTRL_D, deadline_s)
        failed = self._until(_CTRL_D, deadline_s)
        self._until(b">", deadline_s)
        if failed:
            words = failed.decode(errors="replace").replace("\r\n", "\n")
            raise BoardCodeError("What was run on the board failed.", words)
        return out.decode(errors="replace").replace("\r\n", "\n")

    def _send(self, code: bytes) -> None:
        self._kept = b""
        self.line.write(_RAW_PASTE)
        answer = self._exactly(2)
        if answer == b"R\x01":
            self._paste(code)
            return
        if answer != b"R\x00":  # an older prompt took it for code: "ra" of its words follows
            raise self._confused(answer)
        self.line.write(code + _CTRL_D)
        if self._exactly(2) != b"OK":
            raise self._confused(answer)

    def _paste(self, code: bytes) -> None:
        """Send as much as the board says it has room for."""
        (window,) = struct.unpack("<H", self._exactly(2))
        room, sent = window, 0
        while sent < len(code):
            while not room or self._kept:
                word = self._exactly(1)[0]
                if word == _ENOUGH:  # it will not have the rest: an error stands in what follows
                    self.line.write(_CTRL_D)
                    return
                if word != _MORE:
                    raise self._confused(bytes((word,)))
                room += window
            piece = code[sent : sent + room]
            self.line.write(piece)
            sent, room = sent + len(piece), room - len(piece)
            self._kept += self._drain(0)
        self.line.write(_CTRL_D)
        self._until(_CTRL_D, _PASTE_S)

    # ---- listening

    def _is_really_raw(self) -> bool:
        """Whether nothing but the prompt is there: an echo of an earlier try may stand in the line."""
        self._kept = b""
        self._drain(0.05)
        try:
            return self.run("print('qytet')", 2.0) == "qytet\n"
        except (BoardCodeError, RestartedError, SilentError):
            return False

    def _drain(self, for_s: float) -> bytes:
        """Everything that has come, and that comes within so many seconds."""
        end, heard = time.monotonic() + for_s, b""
        while self.line.waiting or time.monotonic() < end:
            heard += self.line.read(end)
        return heard

    def _hear(self, wanted: bytes, heard: bytes, until: float) -> tuple[bytes, bool]:
        while not heard.endswith(wanted) and time.monotonic() < until:
            heard = (heard + self.line.read(until))[-4096:]
        return heard, heard.endswith(wanted)

    def _exactly(self, count: int) -> bytes:
        return self._take(lambda kept: count if len(kept) >= count else -1, _PASTE_S)

    def _until(self, end: bytes, deadline_s: float) -> bytes:
        """What comes before `end`, which is taken too."""
        found = self._take(lambda kept: kept.find(end) + len(end) if end in kept else -1, deadline_s)
        return found[: -len(end)]

    def _take(self, complete: Callable[[bytes], int], deadline_s: float) -> bytes:
        """The first part of what comes, as long as `complete` says (-1: not yet), within the deadline."""
        until = time.monotonic() + deadline_s
        while (size := complete(self._kept)) < 0:
            if any(words in self._kept for words in _RESTARTS):
                raise RestartedError("The board began anew in the middle.", why=_last_words(self._kept))
            data = self.line.read(until)
            if not data:
                raise SilentError(
                    f"The board at {self.line.url} stopped answering.",
                    why=_last_words(self._kept) or "It said nothing.",
                    do="Press its reset button and repeat the command; what was done is kept.",
                )
            self._kept += data
        found, self._kept = self._kept[:size], self._kept[size:]
        return found

    def _confused(self, answer: bytes) -> SilentError | RestartedError:
        """Garbage, or the first words of a reset: what follows tells."""
        heard = self._kept + answer + self._drain(0.3)
        self._kept = b""
        if any(words in heard for words in _RESTARTS):
            return RestartedError("The board began anew in the middle.", why=_last_words(heard))
        return SilentError(
            "The board's answer makes no sense.",
            why=f"It was {answer!r}.",
            do="Another program may write to the port, or the cable may be bad. Repeat the command.",
        )


def _last_words(heard: bytes) -> str:
    """The last line of them, without what a console does not show."""
    text = heard.decode(errors="replace")
    lines = ["".join(c for c in line if c.isprintable()).strip() for line in text.splitlines()]
    return next((line[-160:] for line in reversed(lines) if line), "")


def _no_prompt(url: str, heard: bytes) -> SilentError:
    if b"invalid header: 0x" in heard or b"flash read err" in heard:
        why, do = "There is no MicroPython on it.", "Write it: `qytet bench flash`."
    elif b"waiting for download" in heard:
        why, do = "It waits to be flashed.", "Let go of BOOT (GPIO0) and press its reset button."
    elif heard.strip(b"\r\n\0 "):
        why = f"It says: {_last_words(heard) or 'nothing that can be read'}"
        do = "Press its reset button and try again; if it goes on, write MicroPython: `qytet bench flash`."
    else:
        why = "Nothing comes from it at all."
        do = "Check the port and the cable (some only charge), press reset, and try again."
    return SilentError(f"The board at {url} gives no MicroPython prompt.", why=why, do=do)
