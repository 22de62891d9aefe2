"""Judges readings by rules on given times: which rules fire, why, and what each output should be.

Nothing here knows a clock, a thread or a disk: `now` is seconds since boot (suspended time counts), `t_ms` is
Unix milliseconds or None while the time is not known.
"""

import datetime as dt
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple
from zoneinfo import ZoneInfo

from qytet_edge.records import Reading
from qytet_edge.rules.condition import Watch
from qytet_edge.rules.config import RuleConfig

__all__ = ["Engine", "Firing", "Position"]

Position = Literal["on", "off", "failed"]
_AHEAD_S = 60.0  # a reading may be that far ahead of our clock and still be of now


class Firing(NamedTuple):
    """A rule changed: which, to what, why (a sentence's part), and what its output should be (None: unchanged)."""

    rule: str
    position: Position
    why: str
    output: str
    value: float | None


@dataclass
class _Rule:
    config: RuleConfig
    watches: list[Watch]
    zone: ZoneInfo
    position: Position | None = None
    since: float = -math.inf
    fired: int = field(default=0)


class Engine:
    """All rules of a gateway. For one output the first rule that is on or failed decides; `wanted` holds the result.

    `device`: whose readings a condition without a device means. `zone`: of schedules that name none.
    """

    def __init__(self, rules: Sequence[RuleConfig], device: str, zone: str = "Europe/Tirane") -> None:
        self.wanted: dict[str, float] = {}
        self._rules = [
            _Rule(
                rule,
                [Watch(condition, condition.device or device) for condition in rule.when],
                ZoneInfo((rule.schedule and rule.schedule.zone) or zone),
            )
            for rule in rules
        ]
        self._watches: dict[tuple[str, str], list[Watch]] = {}
        for watch in (watch for rule in self._rules for watch in rule.watches):
            self._watches.setdefault((watch.device, watch.config.key), []).append(watch)
        self._devices = {device for device, _key in self._watches}

    def concerns(self, readings: Sequence[Reading]) -> bool:
        """Whether any rule looks at one of these devices."""
        return any(reading.device in self._devices for reading in readings)

    def accept(self, readings: Sequence[Reading], now: float, t_ms: int | None) -> bool:
        """Take what instruments said; whether a condition began or ended to hold.

        A reading with a time of its own counts from then; while our time is not known, its age is not either,
        and it counts for nothing. "Measured, no value" counts for nothing, too: the last value grows stale.
        """
        turned = False
        for reading in readings:
            if reading.device not in self._devices:
                continue
            at = _measured_at(reading.t_ms, now, t_ms)
            for key, value in reading.values.items():
                if value is None or at is None:
                    continue
                for watch in self._watches.get((reading.device, key), ()):
                    turned = watch.feed(float(value), at) or turned
        return turned

    def evaluate(self, now: float, t_ms: int | None) -> list[Firing]:
        """The rules that change now, in their order; `wanted` is brought up to date."""
        changed = [rule for rule in self._rules if self._move(rule, now, t_ms)]
        for output in dict.fromkeys(rule.config.then.output for rule in self._rules):
            value = self._value(output)
            if value is not None:
                self.wanted[output] = value
        return [self._firing(rule, now) for rule in changed]

    def next(self, now: float, t_ms: int | None) -> float | None:
        """When something may change by time alone, in seconds since boot; None if only readings can change it."""
        due = [at for rule in self._rules for at in self._due(rule, now, t_ms)]
        return min(due, default=None)

    def save(self, now: float) -> dict[str, Any]:
        """Plain data: where each rule stands."""
        return {
            "rules": {
                rule.config.name: {
                    "position": rule.position,
                    "since": rule.since if math.isfinite(rule.since) else None,
                    "watches": [
                        {"device": watch.device, "key": watch.config.key, **watch.save(now)}
                        for watch in rule.watches
                    ],
                }
                for rule in self._rules
            },
            "wanted": dict(self.wanted),
            "at": now,
        }

    def restore(self, saved: dict[str, Any], now: float, *, same_boot: bool) -> None:
        """Go on where an earlier run stopped; rules and conditions that are new or were changed begin afresh."""
        for rule in self._rules:
            found = saved["rules"].get(rule.config.name)
            if found is None or len(found["watches"]) != len(rule.watches):
                continue
            if any(
                (old["device"], old["key"]) != (watch.device, watch.config.key)
                for old, watch in zip(found["watches"], rule.watches, strict=True)
            ):
                continue
            rule.position = found["position"]
            since = found["since"]
            rule.since = -math.inf if since is None else min(since, now) if same_boot else now
            for old, watch in zip(found["watches"], rule.watches, strict=True):
                watch.restore(old, now, saved["at"] if same_boot else None)
        outputs = {rule.config.then.output for rule in self._rules}
        self.wanted = {name: value for name, value in saved["wanted"].items() if name in outputs}

    def state(self, now: float) -> list[dict[str, Any]]:
        """For status: each rule's position, since how many seconds, how often it fired, and its conditions."""
        return [
            {
                "name": rule.config.name,
                "position": rule.position or "not judged yet",
                "since_s": round(now - rule.since, 1) if math.isfinite(rule.since) else None,
                "fired": rule.fired,
                "output": rule.config.then.output,
                "conditions": [watch.describe(now) for watch in rule.watches],
            }
            for rule in self._rules
        ]

    def _move(self, rule: _Rule, now: float, t_ms: int | None) -> bool:
        wish = _wish(rule, now, t_ms)
        if wish == rule.position or (wish != "failed" and now < _free_at(rule)):
            return False  # what is unknown does not wait: the safe value is due at once
        rule.position, rule.since = wish, now
        rule.fired += 1
        return True

    def _value(self, output: str) -> float | None:
        """What the output should be; None if its rules leave it as it is."""
        otherwise = None
        for rule in self._rules:
            if rule.config.then.output != output:
                continue
            if rule.position == "on":
                return rule.config.then.value
            if rule.position == "failed":
                safe = rule.config.fail_safe
                return None if safe == "keep" else safe
            if otherwise is None:
                otherwise = rule.config.otherwise
        return otherwise

    def _firing(self, rule: _Rule, now: float) -> Firing:
        output = rule.config.then.output
        position = rule.position or "off"
        told = "; ".join(watch.describe(now) for watch in rule.watches if _tells(watch, position, now))
        why = told or ("the time is not known" if position == "failed" else "outside of its schedule")
        return Firing(rule.config.name, position, why, output, self._value(output))

    def _due(self, rule: _Rule, now: float, t_ms: int | None) -> Iterator[float]:
        for watch in rule.watches:
            at = watch.next(now)
            if at is not None:
                yield at
        if math.isfinite(free := _free_at(rule)) and free > now:
            yield free
        if rule.config.schedule is not None and t_ms is not None:
            yield now + (60_000 - t_ms % 60_000) / 1000  # windows open and close on whole minutes


def _tells(watch: Watch, position: Position, now: float) -> bool:
    """Whether this condition explains the rule's new position."""
    truth = watch.truth(now)
    return {"on": truth is True, "off": truth is False, "failed": truth is None}[position]


def _wish(rule: _Rule, now: float, t_ms: int | None) -> Position:
    """Where the rule would stand if it might change at once."""
    schedule = rule.config.schedule
    if schedule is not None:
        if t_ms is None:
            return "failed"
        local = dt.datetime.fromtimestamp(t_ms / 1000, rule.zone)
        if not schedule.contains(local):
            return "off"
    truths = [watch.truth(now) for watch in rule.watches]
    decisive = rule.config.match == "any"  # one such answer settles it, whatever the others say
    if decisive in truths:
        return "on" if decisive else "off"
    if None in truths:
        return "failed"
    return "off" if decisive else "on"


def _free_at(rule: _Rule) -> float:
    """Until when the rule must stay as it is."""
    if rule.position == "on":
        return rule.since + rule.config.min_on_s
    if rule.position == "off":
        return rule.since + rule.config.min_off_s
    return -math.inf


def _measured_at(t_ms: int | None, now: float, now_ms: int | None) -> float | None:
    """When a reading was measured, in seconds since boot; None if that cannot be told."""
    if t_ms is None:
        return now
    if now_ms is None:
        return None
    age = (now_ms - t_ms) / 1000
    return None if age < -_AHEAD_S else now - max(0.0, age)
