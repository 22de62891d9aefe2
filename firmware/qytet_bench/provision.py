"""Puts a node's files onto a board that runs MicroPython already: only those that differ, each verified there.

    interrupt -> look -> hold (no boot.py, no main.py, restart: no watchdog) -> files -> boot.py, slot.json, main.py

A break at any moment leaves a board that answers at its prompt and is finished by the same call; readings that it keeps
for the city stay. Contents never stand in a command line or a log.
"""

import hashlib
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from qytet_bench.fitness import UnfitError, check_board, check_identity
from qytet_bench.line import BoardError, Line, LineGoneError, RestartedError, SilentError
from qytet_bench.onboard import PART, About, FullError, OnBoard
from qytet_bench.progress import Shown
from qytet_bench.repl import Repl

__all__ = ["LAST", "Provisioned", "provision"]

LAST = ("/boot.py", "/slot.json", "/main.py")
"""Written last, in this order: without them no program starts."""
_FOLDERS = ("/a", "/b", "/etc")
"""Where the node's files lie; what is not wanted in the slots is removed."""
_IDENTITY = ("node.json", "node.trial.json", "ca.der", "cert.der", "key.der", "update.key")
"""Of /etc: removed if not wanted, such as settings on trial. Others there are orders of the city, and stay."""
_HALF = (PART, ".new")
_STARTERS = ("/main.py", "/boot.py")
_BLOCK = 4096
_ATTEMPTS = 6
_ENTRIES = 3
_BACK_S = 30.0


@dataclass(slots=True)
class Provisioned:
    """What was done: paths, bytes that went over, seconds, and how often the board had to be found again."""

    about: About
    written: list[str] = field(default_factory=list)
    removed: list[str] = field(default_factory=list)
    equal: int = 0
    sent: int = 0
    breaks: int = 0
    took_s: float = 0.0


def provision(
    line: Line,
    files: Mapping[str, bytes],
    shown: Shown,
    *,
    chip: str = "",
    who: tuple[str, str] | None = None,
    discard_backlog: bool = False,
    check: Callable[[About], None] | None = None,
) -> Provisioned:
    """Make the board's files these; returns when all are verified and the board has been told to start.

    `chip` is what it must be, `who` (city, device) it becomes. Raises BoardError.
    """
    work = _Work(line, files, shown, discard_backlog=discard_backlog)
    try:
        return _provision(work, shown, chip, who, check)
    except BaseException:
        work.let_go()
        raise


def _provision(
    work: "_Work",
    shown: Shown,
    chip: str,
    who: tuple[str, str] | None,
    check: Callable[[About], None] | None,
) -> Provisioned:
    began = time.monotonic()
    done: Provisioned | None = None
    for attempt in range(1, _ATTEMPTS + 1):
        try:
            work.look_again()
            if done is None:
                _may(work, chip, who, check)
                done = Provisioned(work.about)
            work.finish(done, new_owner=who is not None and done.about.who not in (None, who))
            break
        except (UnfitError, FullError):
            raise
        except (
            BoardError
        ) as error:  # a reset, a pulled cable, noise: what is on the board by now is looked at anew
            if attempt == _ATTEMPTS or (done is None and isinstance(error, SilentError)):
                raise
            work.breaks += 1
            shown.say(f"{error.what} Trying again.")
    assert done is not None
    done.breaks, done.took_s = work.breaks, time.monotonic() - began
    return done


def _may(
    work: "_Work", chip: str, who: tuple[str, str] | None, check: Callable[[About], None] | None
) -> None:
    check_board(work.about, chip)
    if check is not None:
        check(work.about)
    if who is not None and not work.discards:
        check_identity(work.about, who)


class _Work:
    """One board and what it should hold."""

    def __init__(
        self, line: Line, files: Mapping[str, bytes], shown: Shown, *, discard_backlog: bool
    ) -> None:
        self._line, self._files, self._shown = line, files, shown
        self.discards = discard_backlog
        self.breaks = 0
        self._digests = {path: hashlib.sha256(content).hexdigest() for path, content in files.items()}
        self._repl = Repl(line)
        self._board = OnBoard(self._repl)
        self.about = About("", (), "", 0, 0, 0, None, 0, "")

    def look_again(self) -> None:
        """Reach the prompt and ask what the board is, wherever it was."""
        self._enter()
        self.about = self._board.about()

    def let_go(self) -> None:
        """Start again what was interrupted, if anything is left that can start."""
        try:
            self._repl.let_go()
        except BoardError:
            pass  # the port is gone; whoever plugs the board in starts it

    def finish(self, done: Provisioned, *, new_owner: bool) -> None:
        """Bring the board's files to what they should be, and start it."""
        there = self._survey()
        wanted = [path for path in self._order() if there.get(path, (0, ""))[1] != self._digests[path]]
        stale = [path for path in there if path not in self._files and (new_owner or _is_stale(path))]
        if wanted or stale or new_owner or self.discards:
            if self._hold(there):
                there = {path: found for path, found in there.items() if path not in _STARTERS}
                wanted = [path for path in self._order() if path in wanted or path in _STARTERS]
            if new_owner or self.discards:
                self._board.clear("/data")
            self._board.remove(stale)
            done.removed += [path for path in stale if path not in done.removed]
            self._check_room(there, wanted)
            self._write(wanted, done)
            self._verify()
        done.equal = len(self._files) - len(done.written)
        self._repl.restart()

    def _order(self) -> list[str]:
        last = [path for path in LAST if path in self._files]
        return [*sorted(path for path in self._files if path not in LAST), *last]

    def _survey(self) -> dict[str, tuple[int, str]]:
        top = {*LAST, *(path for path in self._files if path.count("/") == 1)}
        return self._board.files(_FOLDERS, sorted(top | {path + PART for path in top}))

    def _hold(self, there: Mapping[str, object]) -> bool:
        """See to it that no program starts, and that no watchdog of one bites; tells whether one could have.

        The watchdog of an ESP32 cannot be stopped once it runs, but for a reset.
        """
        starters = [path for path in _STARTERS if path in there]
        if not starters:
            return False
        self._board.remove(starters)
        self._repl.restart()
        self._enter(boots=True)
        return True

    def _enter(self, *, boots: bool = False) -> None:
        """Reach the prompt, on whatever port it is by now; `boots`: the board has just begun anew."""
        for attempt in range(1, _ENTRIES + 1):
            try:
                if boots:
                    self._repl.booted()
                self._repl.enter()
                self._board.prepare()
            except RestartedError:
                boots = True
                if attempt == _ENTRIES:
                    raise
            except LineGoneError:
                if attempt == _ENTRIES:
                    raise
                self._line.reopen(_BACK_S)
            else:
                return

    def _check_room(self, there: Mapping[str, tuple[int, str]], wanted: list[str]) -> None:
        new = sum(_blocks(len(self._files[path])) for path in wanted)
        old = [_blocks(there[path][0]) for path in wanted if path in there]
        need = new - sum(old) + max(old, default=0)  # each lies beside its successor for a moment
        self.about = self._board.about()
        if need > self.about.free:
            raise self._full(f"{need // 1024} KB are needed and {self.about.free // 1024} KB are free.")

    def _write(self, wanted: list[str], done: Provisioned) -> None:
        total = sum(len(self._files[path]) for path in wanted)
        over = 0

        def went(size: int) -> None:
            nonlocal over
            over += size
            self._shown.written(over, total)

        for path in wanted:
            try:
                self._board.write(path, self._files[path], self._digests[path], went)
            except FullError as error:
                raise self._full(error.what) from error
            done.sent += len(self._files[path])
            if path not in done.written:
                done.written.append(path)

    def _verify(self) -> None:
        found = {path: digest for path, (_, digest) in self._survey().items()}
        wrong = sorted(path for path, digest in self._digests.items() if found.get(path) != digest)
        if wrong:
            raise BoardError(
                f"{len(wrong)} files on the board are not what they should be: {', '.join(wrong[:3])}.",
                why="They were verified when they were written: the flash does not keep what it is given.",
                do="Repeat the command; if it happens again, replace the board.",
            )

    def _full(self, why: str) -> FullError:
        held = self.about.held
        if held:
            do = (
                f"{held // 1024} KB are readings that wait for the city: let the node send them first, or give them"
                " up with --discard-backlog."
            )
        else:
            do = "Other files take the room: write the whole flash anew with `qytet bench flash`."
        return FullError("The board's flash has no room for the node.", why=why, do=do)


def _is_stale(path: str) -> bool:
    folder, _, name = path.rpartition("/")
    return folder != "/etc" or name in _IDENTITY or name.endswith(_HALF)


def _blocks(size: int) -> int:
    """Bytes that a file takes of the flash, its entry included."""
    return -(-(size + 64) // _BLOCK) * _BLOCK
