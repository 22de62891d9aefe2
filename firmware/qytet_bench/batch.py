"""A tray of boards, one after another: which board becomes which device, what is asked, and what is left to do.

Each step is noted in the journal before the next begins, so that after Ctrl-C, an error or a power cut the same
command goes on with what is not done.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any, Protocol

from qytet.errors import QytetError
from qytet_bench import serialport
from qytet_bench.flash import Flashed, HalfWritten, Job, MixedUpError
from qytet_bench.journal import Entry, Journal
from qytet_bench.progress import Say
from qytet_bench.tray import Row

__all__ = ["Boards", "Listed", "Outcome", "Plugged", "State", "Tray"]


class State(StrEnum):
    """Of a device of the tray."""

    BEGUN = "begun"
    FLASHED = "flashed"
    ACCEPTED = "accepted"
    REFUSED = "refused"
    """Flashed, but it did not pass its test."""
    FAILED = "failed"
    INTERRUPTED = "interrupted"
    LEFT = "left"
    """No board came for it, or the run ended before."""


_WRITTEN = {State.FLASHED, State.REFUSED}
_NOTED = {"city", "site", "profile", "board", "mac", "version", "seconds"}


@dataclass(frozen=True, slots=True)
class Outcome:
    """How it stands with a device; `now` tells whether this run did it."""

    device: str
    state: State
    mac: str = ""
    now: bool = False
    why: str = ""

    def document(self) -> dict[str, Any]:
        """As plain data."""
        return asdict(self)


class Boards(Protocol):
    """Where the next board comes from."""

    def next(self, device: str, site: str) -> str | None:
        """The port of the next board; None if none is left, or none came in time."""

    def again(self, port: str) -> str:
        """The port of the board that was on this one and is to be tried once more."""


class Listed:
    """Boards that hang on these ports, in this order."""

    def __init__(self, ports: Sequence[str]) -> None:
        self._left = list(ports)

    def next(self, device: str, site: str) -> str | None:  # noqa: ARG002
        """The next port of the list."""
        return self._left.pop(0) if self._left else None

    def again(self, port: str) -> str:
        """It hangs there still."""
        return port


class Plugged:
    """Boards that a person plugs in, one at a time; those that are there already count too."""

    def __init__(self, say: Say, limit_s: float, watcher: serialport.Watcher) -> None:
        self._say, self._limit_s, self._watcher = say, limit_s, watcher

    def next(self, device: str, site: str) -> str | None:
        """The port of a board that was not there before."""
        self._say(f"Plug in the board for {device}{f' ({site})' if site else ''}.")
        port = self._watcher.next(self._limit_s)
        if port is None:
            self._say("No board appeared. If one is plugged in: its cable may only charge; try another.")
            return None
        return port.path

    def again(self, port: str) -> str:
        """Whatever the port is called after the board was plugged in again."""
        if any(one.path == port for one in serialport.ports()):
            return port
        self._say("Plug it in again.")
        found = self._watcher.next(self._limit_s)
        return found.path if found else port


@dataclass(frozen=True, slots=True)
class Tray:
    """`write(job, port, replace)` flashes a board, `accept(row)` tests the node, `finish(row)` makes its label.

    `ask(question)` is a person's yes or no.
    """

    rows: Sequence[Row]
    journal: Journal
    boards: Boards
    make_job: Callable[[Row], Job]
    write: Callable[[Job, str, bool], Flashed]
    say: Say
    ask: Callable[[str], bool]
    finish: Callable[[Row], None]
    accept: Callable[[Row], None] | None = None
    again: frozenset[str] = frozenset()
    outcomes: dict[str, Outcome] = field(default_factory=dict)
    """What this run has done, by device."""

    def run(self) -> None:
        """Go over the tray; what went wrong with one device keeps none of the others. Raises KeyboardInterrupt."""
        for row in self.rows:
            device = row.node.device
            if device not in self.again and self._is_done(self.journal.last(device)):
                continue
            self.outcomes[device] = self._one(row)
            if self.outcomes[device].state is State.LEFT:
                return

    def standing(self, row: Row) -> Outcome:
        """How it stands with a device: by this run, or by the journal."""
        if row.node.device in self.outcomes:
            return self.outcomes[row.node.device]
        last = self.journal.last(row.node.device)
        if not last:
            return Outcome(row.node.device, State.LEFT)
        why = str(last.get("why", "")) or _changed(row, last)
        state = State(last["state"]) if last["state"] in {*State} else State.LEFT
        return Outcome(row.node.device, state, str(last.get("mac", "")), why=why)

    def _is_done(self, last: Entry) -> bool:
        done = {State.ACCEPTED} if self.accept else {State.ACCEPTED, *_WRITTEN}
        return last.get("state") in done

    def _one(self, row: Row) -> Outcome:
        """One device: boards are taken until one is it, or a person gives up."""
        device = row.node.device
        last = self.journal.last(device)
        if last.get("state") in _WRITTEN and device not in self.again:
            return self._tested(row, {name: value for name, value in last.items() if name in _NOTED})
        while True:
            port = self.boards.next(device, row.node.site)
            if port is None:
                return Outcome(device, State.LEFT, now=True, why="There was no board for it.")
            outcome = self._with_board(row, port)
            if outcome is not None:
                return outcome

    def _with_board(self, row: Row, port: str) -> Outcome | None:
        """What became of the device with this board; None if the board was put aside."""
        replace = False
        while True:
            try:
                return self._flash(row, port, replace=replace)
            except MixedUpError as error:
                if self.ask(f"{error.what} {error.why} Go on all the same?"):
                    replace = True
                elif error.holder:
                    self.say(f"Put it aside: it stays {error.holder}.")
                    return None
                else:
                    return self._failed(row, error)
            except QytetError as error:
                self.say(str(error))
                if not self.ask(f"Try {row.node.device} again with the same board?"):
                    return self._failed(row, error)
                port = self.boards.again(port)

    def _flash(self, row: Row, port: str, *, replace: bool) -> Outcome:
        device = row.node.device
        self.journal.note(device, State.BEGUN, port=port)
        job = self.make_job(row)
        try:
            done = self.write(job, port, replace)
        except HalfWritten:
            why = "Ctrl-C while the board was written."
            self.journal.note(device, State.INTERRUPTED, port=port, why=why)
            self.outcomes[device] = Outcome(device, State.INTERRUPTED, now=True, why=why)
            raise
        facts = {**_facts(row), "mac": done.mac, "version": done.version, "seconds": done.seconds}
        self.journal.note(device, State.FLASHED, **facts)
        self.outcomes[device] = Outcome(device, State.FLASHED, done.mac, now=True)
        self._finish(row)
        outcome = self._tested(row, facts) if self.accept else self.outcomes[device]
        self.say(f"{device} is {outcome.state} on {done.mac}. Unplug it.")
        return outcome

    def _finish(self, row: Row) -> None:
        """A label that cannot be made leaves the board as good as it is."""
        try:
            self.finish(row)
        except QytetError as error:
            self.say(f"{error} {row.node.device} is flashed all the same.")

    def _tested(self, row: Row, facts: Mapping[str, Any]) -> Outcome:
        """Whether the node, which is flashed, passes its test."""
        assert self.accept is not None
        device, mac = row.node.device, str(facts.get("mac", ""))
        try:
            self.accept(row)
        except QytetError as error:
            self.journal.note(device, State.REFUSED, **facts, why=error.what)
            return Outcome(device, State.REFUSED, mac, now=True, why=str(error))
        self.journal.note(device, State.ACCEPTED, **facts)
        return Outcome(device, State.ACCEPTED, mac, now=True)

    def _failed(self, row: Row, error: QytetError) -> Outcome:
        self.journal.note(row.node.device, State.FAILED, why=error.what)
        return Outcome(row.node.device, State.FAILED, now=True, why=str(error))


def _facts(row: Row) -> dict[str, str]:
    node = row.node
    return {"city": node.city, "site": node.site, "profile": node.profile, "board": node.board}


def _changed(row: Row, last: Entry) -> str:
    """What the file says otherwise than when the device was done."""
    other = [
        f"{name} {last[name]}, now {value}"
        for name, value in _facts(row).items()
        if last.get(name, value) != value
    ]
    return f"Done with {'; '.join(other)}. To do it anew: --again {row.node.device}" if other else ""
