"""Turns what a run measured into its account, with every reason why it is not whole."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from qytet.demo.compare import Verdict
from qytet.demo.options import Options
from qytet.demo.probe import Prober
from qytet.demo.summary import Summary

__all__ = ["Lived", "account"]

_MEASURED = {
    "lost, duplicated": "each value in this run's oracle against the rows of qytet.observation",
    "publish_to_stored_ms": "from a record's first publish until its device receives the stored mark",
    "publish_to_visible_ms": "from just before publish until /v1/observations answers with the reading",
    "publish_to_latest_ms": "from just before publish until /v1/latest answers with it or a newer one",
}


@dataclass(frozen=True, slots=True)
class Lived:
    """What was seen while everything ran; `last` is the simulators' last word on their figures."""

    start_s: float
    run_s: float
    last: dict[str, Any]
    visible: Prober
    latest: Prober


def account(options: Options, lived: Lived, verdict: Verdict, since: datetime) -> Summary:
    """The summary of a run; `ok` if nothing is lost, duplicated, missing or left without a mark."""
    last = lived.last
    problems = [*_problems(options, last, verdict), *_unseen(lived)]
    return Summary(
        ok=not problems,
        problems=problems,
        began=since.astimezone(UTC).isoformat(timespec="milliseconds"),
        run_s=round(lived.run_s, 1),
        start_s=round(lived.start_s, 1),
        devices=last.get("devices", 0),
        generated=last.get("readings", 0),
        expected=verdict.expected,
        stored=verdict.stored,
        lost=verdict.lost,
        duplicated=verdict.duplicated,
        late=verdict.late,
        dead_lettered=verdict.dead_letters,
        missing=verdict.missing,
        resent=verdict.resent,
        records=last.get("records", 0),
        records_marked_stored=last.get("stored", 0),
        publish_to_stored_ms=last.get("stored_ms", {}),
        publish_to_visible_ms=lived.visible.latencies.summary(),
        publish_to_latest_ms=lived.latest.latencies.summary(),
        lost_examples=verdict.lost_examples,
        measured=_MEASURED,
    )


def _problems(options: Options, last: dict[str, Any], verdict: Verdict) -> list[str]:
    found = []
    if not verdict.expected:
        found.append("Nothing was generated, so nothing is proved.")
    if verdict.lost:
        found.append(f"{verdict.lost:,} readings are lost.")
    if verdict.duplicated:
        found.append(f"{verdict.duplicated:,} readings are stored that no record explains.")
    if last.get("held", 0):
        found.append(f"{last['held']:,} records were not marked as stored in time.")
    if verdict.missing:
        found.append(f"The ledger misses {verdict.missing:,} records.")
    whole = not options.scenario and not last.get("dropped", 0)
    if whole and last.get("readings", 0) != verdict.expected:
        found.append(
            f"The oracle holds {verdict.expected:,} readings, but the devices count {last.get('readings', 0):,}."
        )
    return found


def _unseen(lived: Lived) -> list[str]:
    unseen = lived.visible.unseen + lived.latest.unseen
    found = [f"{unseen:,} readings were not visible in the API within 30 s."] if unseen else []
    return found + [
        f"A prober failed, so its latencies are not of the whole run: {prober.failure!r}"
        for prober in (lived.visible, lived.latest)
        if prober.failure is not None
    ]
