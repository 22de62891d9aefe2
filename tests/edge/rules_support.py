"""What the tests of rules share: a rule, and a street in which time passes when the test says so."""

import datetime as dt
from collections.abc import Mapping
from typing import Any

from qytet_edge.records import Reading
from qytet_edge.rules import Engine, RuleConfig

__all__ = ["GATEWAY", "METER", "PIR", "Street", "rule"]

PIR, METER, GATEWAY = "pir-1", "meter-1", "gateway-1"


def rule(**fields: Any) -> RuleConfig:
    """A rule on motion and a lamp, with what the test changes."""
    table = {
        "name": "dim",
        "when": [{"device": PIR, "key": "motion_count", "below": 1, "stale_s": 900}],
        "then": {"output": "lamp", "value": 30},
        "else": 100,
        "fail_safe": 80,
        "min_on_s": 0,
        "min_off_s": 0,
    }
    return RuleConfig.model_validate(table | fields)


class Street:
    """An engine with time in the test's hand: seconds since boot, and local time if it is known."""

    def __init__(self, *rules: RuleConfig, now: float = 1000.0, local: dt.datetime | None = None) -> None:
        self.engine = Engine(rules, GATEWAY, "Europe/Tirane")
        self.now = now
        self.t_ms = None if local is None else int(local.timestamp() * 1000)

    def pass_s(self, seconds: float) -> None:
        self.now += seconds
        if self.t_ms is not None:
            self.t_ms += int(seconds * 1000)

    def say(self, values: Mapping[str, float | None], device: str = PIR, t_ms: int | None = None) -> None:
        self.engine.accept(
            [Reading(device, values, t_ms, "none" if t_ms is None else "ntp")], self.now, self.t_ms
        )

    def positions(self) -> list[str]:
        return [firing.position for firing in self.engine.evaluate(self.now, self.t_ms)]

    def lamp(self) -> float | None:
        self.engine.evaluate(self.now, self.t_ms)
        return self.engine.wanted.get("lamp")

    def run_s(self, seconds: float) -> list[tuple[float, str]]:
        """Let time pass as the driver does, waking only when the engine asks for it: when what happened."""
        end, seen = self.now + seconds, []
        while True:
            seen += [(self.now, one.position) for one in self.engine.evaluate(self.now, self.t_ms)]
            due = self.engine.next(self.now, self.t_ms)
            if due is None or due >= end:
                self.pass_s(end - self.now)
                return seen
            self.pass_s(max(due - self.now, 1e-6))
