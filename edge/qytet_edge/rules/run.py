"""Moves the outputs as the rules want it: a task for each output, so that one that hangs holds up no other."""

import asyncio
import contextlib
from collections import deque
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from qytet.errors import SettingsError
from qytet_contract import records
from qytet_contract.codes import ContractError
from qytet_edge.clock import Clock
from qytet_edge.ending import until
from qytet_edge.journal import Journal
from qytet_edge.ports import Output, Sink
from qytet_edge.records import Checkpoint, Reading
from qytet_edge.rules.config import RuleConfig
from qytet_edge.rules.engine import Engine, Firing

__all__ = ["Rules"]

_SET_S = 10.0  # longest time that one movement may take
_REFRESH_S = (
    60.0  # an output is driven again that often: a module that lost its power comes back with its default
)
_REPORT_S = 900.0  # its value is reported that often, beside each change (catalogue: on change + 15 min)
_RETRY_S = (1.0, 60.0)  # first and longest pause before an output that failed is tried again
_LOOK_S = 30.0  # longest time between two looks
_LAST_WORD_S = 2.0  # that the disk may take at the end
_EARLY = 1000  # readings that wait while the state is read back at the start
_REPORTS = 1000  # reports that wait for the disk; older ones give way


class Rules:
    """A source (ports.Source): feed it every accepted reading by `accepted`, and let `run` run.

    `outputs` by name; `reports` says under which key an output's new value becomes a record of `device`. Raises
    SettingsError if a rule names an output that is not there. Every rule that changes is an event in `journal`;
    where each stands is kept as the checkpoint `rules`, so that a restart changes nothing.
    """

    name = "rules"
    deadline_s = 4 * _LOOK_S

    def __init__(
        self,
        rules: Sequence[RuleConfig],
        outputs: Mapping[str, Output],
        *,
        device: str,
        clock: Clock,
        journal: Journal,
        zone: str = "Europe/Tirane",
        reports: Mapping[str, str] | None = None,
    ) -> None:
        _check(rules, outputs, reports or {})
        used = {rule.then.output for rule in rules}
        self._reports = {name: key for name, key in (reports or {}).items() if key}
        self.streams: Mapping[str, Sequence[str]] = (
            {device: tuple(dict.fromkeys(self._reports.values()))} if self._reports else {}
        )
        self._engine = Engine(rules, device, zone)
        self._device, self._clock, self._journal = device, clock, journal
        self._drivers = {name: _Driver(name, outputs[name], self) for name in sorted(used)}
        self._early: deque[Sequence[Reading]] | None = deque(maxlen=_EARLY)
        self._pending: deque[Reading] = deque(maxlen=_REPORTS)
        self._look = asyncio.Event()
        self._keep = asyncio.Event()
        self._unkept = False

    def accepted(self, readings: Sequence[Reading]) -> None:
        """Judge readings that were just accepted; never waits. Call it on the event loop."""
        if not self._engine.concerns(readings):
            return
        if self._early is not None:
            self._early.append(readings)
            return
        self._accept(readings)

    async def run(self, sink: Sink) -> None:
        """Judge by time, drive the outputs, keep where the rules stand; for ever."""
        if self._early is not None:
            self._restore(await sink.checkpoint(self.name))
        try:
            await self._work(sink)
        except asyncio.CancelledError:
            await self._last_word(sink)
            raise

    async def _work(self, sink: Sink) -> None:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._keeping(sink), name="rules keep")
            for driver in self._drivers.values():
                tasks.create_task(driver.run(), name=f"output {driver.name}")
            while True:
                self._look.clear()
                self._judge()
                sink.beat()
                await until(self._look, self._wait_s())

    def state(self) -> dict[str, Any]:
        """For status: the rules, and what each output is."""
        return {
            "rules": self._engine.state(self._now()),
            "outputs": [driver.state() for driver in self._drivers.values()],
        }

    def report(self, output: str, value: float) -> None:
        """An output was moved (or confirmed): make it a record if it is one to be reported."""
        if output in self._reports:
            t_ms, tq = self._clock.stamp()
            self._pending.append(Reading(self._device, {self._reports[output]: value}, t_ms, tq))
            self._keep.set()

    def wanted(self, output: str) -> float | None:
        """What the output should be; None if no rule has decided yet."""
        return self._engine.wanted.get(output)

    def tell(self, subject: str, message: str, *, bad: bool) -> None:
        """An event of an output."""
        self._journal.add("warning" if bad else "info", subject, message)

    def _accept(self, readings: Sequence[Reading]) -> None:
        if self._engine.accept(readings, self._now(), self._clock.stamp()[0]):
            self._keep.set()
        self._judge()
        self._look.set()  # what is due by time may have changed

    def _judge(self) -> None:
        firings = self._engine.evaluate(self._now(), self._clock.stamp()[0])
        for firing in firings:
            self._journal.add(
                "warning" if firing.position == "failed" else "info", f"rule {firing.rule}", _sentence(firing)
            )
        if firings:
            self._keep.set()
        for name, driver in self._drivers.items():
            driver.wish(self._engine.wanted.get(name))

    def _wait_s(self) -> float:
        due = self._engine.next(self._now(), self._clock.stamp()[0])
        return _LOOK_S if due is None else min(_LOOK_S, max(0.001, due - self._now()))

    async def _keeping(self, sink: Sink) -> None:
        """Writes what is to be kept; a disk that makes us wait holds up no output."""
        while True:
            await self._keep.wait()
            await self._save(sink)

    async def _save(self, sink: Sink) -> None:
        self._keep.clear()
        self._unkept = True
        readings = list(self._pending)
        saved = {"boot": self._clock.linux_boot, **self._engine.save(self._now())}
        await sink.put(readings, Checkpoint(self.name, msgspec.json.encode(saved)))
        self._unkept = False
        for reading in readings:
            if self._pending and self._pending[0] is reading:
                self._pending.popleft()

    async def _last_word(self, sink: Sink) -> None:
        """Keep what was decided and reported just before the stop, unless the disk takes too long."""
        if self._keep.is_set() or self._unkept:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_LAST_WORD_S):
                    await self._save(sink)

    def _restore(self, kept: bytes | None) -> None:
        early, self._early = self._early or (), None
        if kept is not None:
            try:
                saved = msgspec.json.decode(kept)
                same = bool(saved["boot"]) and saved["boot"] == self._clock.linux_boot
                self._engine.restore(saved, self._now(), same_boot=same)
            except (msgspec.MsgspecError, LookupError, TypeError, ValueError) as error:
                self._journal.add(
                    "warning", "rules", f"what was kept cannot be read ({error}); they begin afresh"
                )
        for readings in early:
            self._accept(readings)

    def _now(self) -> float:
        return self._clock.uptime_ms() / 1000


class _Driver:
    """Drives one output to what is wanted, and keeps at it."""

    def __init__(self, name: str, output: Output, rules: Rules) -> None:
        self.name = name
        self._output, self._rules = output, rules
        self._wish: float | None = None
        self._is: float | None = None
        self._error = ""
        self._pause_s = _RETRY_S[0]
        self._reported_at = float("-inf")
        self._news = asyncio.Event()

    def wish(self, value: float | None) -> None:
        """The rules want this now."""
        if value != self._wish:
            self._wish = value
            self._news.set()

    def state(self) -> dict[str, Any]:
        """For status."""
        return {"name": self.name, "wanted": self._wish, "is": self._is, "error": self._error or None}

    async def run(self) -> None:
        while True:
            self._news.clear()
            wait_s = await self._drive(self._wish) if self._wish is not None else None
            await until(self._news, wait_s)

    async def _drive(self, value: float) -> float:
        """Set it; returns after how many seconds to do so again."""
        try:
            async with asyncio.timeout(_SET_S):
                await self._output.set(value)
        except Exception as error:  # noqa: BLE001  a fault in one output's plug-in must not stop the others
            return self._failed(value, error)
        if self._error:
            self._rules.tell(f"output {self.name}", "it can be moved again", bad=False)
        self._error, self._pause_s = "", _RETRY_S[0]
        now = asyncio.get_running_loop().time()
        if value != self._is or now - self._reported_at >= _REPORT_S:
            self._reported_at = now
            self._rules.report(self.name, value)
        self._is = value
        return _REFRESH_S

    def _failed(self, value: float, error: Exception) -> float:
        said = str(error) or (
            "no answer in time" if isinstance(error, TimeoutError) else type(error).__name__
        )
        if not self._error:
            self._rules.tell(f"output {self.name}", f"cannot be set to {value:g}: {said}", bad=True)
        self._error, self._is = said, None
        pause, self._pause_s = self._pause_s, min(_RETRY_S[1], self._pause_s * 2)
        return pause


def _sentence(firing: Firing) -> str:
    moved = "stays as it is" if firing.value is None else f"= {firing.value:g}"
    return f"{firing.position}, {firing.output} {moved}, because {firing.why}"


def _check(rules: Sequence[RuleConfig], outputs: Mapping[str, Output], reports: Mapping[str, str]) -> None:
    for rule in rules:
        if rule.then.output not in outputs:
            raise SettingsError(
                f"Rule {rule.name} moves the output {rule.then.output!r}, which does not exist.",
                why=f"Known are {', '.join(sorted(outputs)) or 'none'}.",
                do="Add an [[output]] of that name, or correct the rule.",
            )
    for name, key in reports.items():
        try:
            if key:
                records.check_key(key)
        except ContractError as error:
            raise SettingsError(
                f"Output {name} reports {key!r}, which the catalogue does not have.", why=str(error)
            ) from error
