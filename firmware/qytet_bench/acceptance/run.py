"""Looks again and again until everything is as it should be, or it is clear that waiting will not help."""

import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field, replace

from qytet_bench.acceptance import checks
from qytet_bench.acceptance.api import Api, ApiError, RefusedError
from qytet_bench.acceptance.check import Check, State, failed, passed, skipped
from qytet_bench.acceptance.facts import Facts, Subject, fetch
from qytet_bench.acceptance.sensors import Plausible, check_outputs, check_sensors
from qytet_bench.acceptance.tls import check_tls
from qytet_bench.acceptance.watch import Watch

__all__ = ["Limits", "Outcome", "look"]

Sleep = Callable[[float], None]
Show = Callable[[Sequence[Check], float], None]


@dataclass(frozen=True, slots=True)
class Limits:
    """Seconds to wait at most and between two looks; dBm; checks that are left out by their ids."""

    within_s: float = 420.0
    every_s: float = 3.0
    least_rssi_dbm: float = checks.RSSI_DBM
    skip: frozenset[str] = frozenset()


@dataclass(slots=True)
class Outcome:
    """The last look at everything; `facts` is None if the API never answered."""

    checks: list[Check] = field(default_factory=list)
    facts: Facts | None = None

    @property
    def passed(self) -> bool:
        """Whether nothing failed, and not everything was skipped."""
        states = [check.state for check in self.checks]
        return State.FAILED not in states and State.PASSED in states


class _Memory:
    """What is remembered from look to look."""

    def __init__(self) -> None:
        self.plausible = Plausible()
        self.youngest: float | None = None
        self.seen_at = ""

    def note(self, subject: Subject, facts: Facts) -> None:
        """The least age at which a reading was first seen."""
        keys = [key for row in subject.profile["sensors"] for key in row["keys"] if key in facts.latest]
        if not keys:
            return
        row = min((facts.latest[key] for key in keys), key=lambda one: float(one["age_s"]))
        age = float(row["age_s"])
        if row["phenomenon_time"] != self.seen_at:
            self.seen_at = str(row["phenomenon_time"])
            self.youngest = age if self.youngest is None else min(self.youngest, age)


def look(
    subject: Subject, api: Api, watch: Watch, limits: Limits, show: Show, sleep: Sleep = time.sleep
) -> Outcome:
    """Everything that was looked at, as it was at the end. `show(checks, seconds left)` hears of each look."""
    end = time.monotonic() + limits.within_s
    memory = _Memory()
    outcome = Outcome()
    encryption: Check | None = None
    while True:
        if encryption is None or (encryption.state is State.FAILED and not encryption.settled):
            encryption = _encryption(subject, limits)
        outcome.checks = [*_of_api(subject, api, limits, memory, outcome), encryption, watch.check()]
        outcome.checks = [_unless_skipped(watch.explained(check), limits.skip) for check in outcome.checks]
        left = end - time.monotonic()
        show(outcome.checks, max(left, 0.0))
        if left <= 0 or _is_decided(outcome.checks):
            return outcome
        sleep(min(limits.every_s, left))


def _encryption(subject: Subject, limits: Limits) -> Check:
    """Asked once if all is well: a broker is not there for each look of a technician."""
    return _left_out("tls", "Encryption") if "tls" in limits.skip else check_tls(subject.node)


def _of_api(subject: Subject, api: Api, limits: Limits, memory: _Memory, outcome: Outcome) -> list[Check]:
    expected = f"{api.url} answers"
    try:
        facts = fetch(api, subject)
    except ApiError as error:
        seen = f"{error.what} {error.why}".strip()
        is_final = isinstance(error, RefusedError)
        return [failed("api", "Platform", seen, expected, error.do, settled=is_final)]
    outcome.facts = facts
    memory.note(subject, facts)
    known = checks.check_known(subject, facts)
    answers = passed("api", "Platform", expected, expected)
    if facts.device is None:
        return [answers, known, checks.check_refused(facts)]
    return [
        answers,
        known,
        checks.check_heard(subject, facts),
        checks.check_firmware(subject, facts),
        checks.check_stored(subject, facts),
        *check_sensors(subject, facts, memory.plausible),
        *check_outputs(subject, facts, memory.plausible),
        checks.check_clock(subject, facts, memory.youngest),
        checks.check_rssi(facts, limits.least_rssi_dbm),
        checks.check_backlog(facts),
        checks.check_refused(facts),
    ]


def _is_decided(found: Sequence[Check]) -> bool:
    """Whether nothing failed, or whatever failed will fail for ever."""
    return all(check.settled for check in found if check.state is State.FAILED)


def _unless_skipped(check: Check, skip: Collection[str]) -> Check:
    if check.id not in skip or check.state is State.SKIPPED:
        return check
    return replace(_left_out(check.id, check.title), expected=check.expected)


def _left_out(id_: str, title: str) -> Check:
    return skipped(id_, title, "left out by whoever ran this (--skip)", "")
