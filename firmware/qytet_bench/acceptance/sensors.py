"""Whether every sensor of the node's profile delivers, and what it says is plausible by the catalogue."""

from collections.abc import Mapping
from typing import Any

from qytet.catalogue import Property, properties
from qytet_bench.acceptance.check import Check, failed, passed, skipped
from qytet_bench.acceptance.facts import Facts, Subject, warm_up_s

__all__ = ["Plausible", "check_outputs", "check_sensors"]

_SUSPECT, _FAIL = 3, 4
_SETTLED_AFTER = 2
"""Readings in a row that cannot be: more of them will not be better."""
_LONG_WARM_UP_S = 600.0
"""Nobody waits longer with a ladder at the pole."""


class Plausible:
    """Remembers which readings were implausible, over the looks of one acceptance."""

    def __init__(self) -> None:
        self._wrong: dict[str, set[str]] = {}

    def wrong(self, key: str, row: Mapping[str, Any]) -> bool:
        """Note a reading that cannot be; tells whether it has been often enough."""
        times = self._wrong.setdefault(key, set())
        times.add(str(row["phenomenon_time"]))
        return len(times) >= _SETTLED_AFTER


def check_sensors(subject: Subject, facts: Facts, plausible: Plausible) -> list[Check]:
    """One check a sensor of the profile."""
    return [_check(row, subject, facts, plausible) for row in subject.profile["sensors"]]


def check_outputs(subject: Subject, facts: Facts, plausible: Plausible) -> list[Check]:
    """One check an output that reports its level."""
    rows = [row for row in subject.profile.get("outputs") or () if "key" in row]
    return [
        _judged(
            f"output:{row['name']}", f"Output {row['name']}", {row["key"]: "last"}, subject, facts, plausible
        )
        for row in rows
    ]


def _check(row: Mapping[str, Any], subject: Subject, facts: Facts, plausible: Plausible) -> Check:
    name = str(row["name"])
    made = _judged(
        f"sensor:{name}", f"Sensor {name} ({row['driver']})", row["keys"], subject, facts, plausible
    )
    if made.state != "failed" or any(key in facts.latest for key in row["keys"]):
        return made
    errors = facts.value("sensor_errors_total:" + name[:24]) or 0
    left = warm_up_s(str(row["driver"])) - (facts.up_s or 0.0)
    if left > _LONG_WARM_UP_S and not errors:
        return skipped(
            made.id,
            made.title,
            f"warms up for another {left / 3600:.1f} h, without an error so far",
            made.expected,
            f"Accept it once more in {left / 3600:.0f} hours; it can be done from the desk, without the cable.",
        )
    if errors:
        seen = f"{made.seen}; {errors:.0f} errors counted"
        return failed(made.id, made.title, seen, made.expected, made.do)
    if left > 0:
        seen = f"{made.seen}; warms up for another {left:.0f} s"
        return failed(made.id, made.title, seen, made.expected, made.do)
    return made


def _judged(
    id_: str,
    title: str,
    keys: Mapping[str, str],
    subject: Subject,
    facts: Facts,
    plausible: Plausible,
) -> Check:
    """The first thing that is wrong with any of the keys, or all of their values."""
    expected = "; ".join(_expected(key, subject) for key in keys)
    settled = False
    wrong: list[str] = []
    seen: list[str] = []
    do = ""
    for key, rule in keys.items():
        words, advice, is_final = _look(key, rule, subject, facts, plausible)
        if advice:
            wrong.append(words)
            settled = settled or is_final
            do = do or advice
        else:
            seen.append(words)
    if wrong:
        return failed(id_, title, "; ".join(wrong), expected, do, settled=settled)
    return passed(id_, title, "; ".join(seen), expected)


def _look(key: str, rule: str, subject: Subject, facts: Facts, plausible: Plausible) -> tuple[str, str, bool]:
    """What was seen of one key, what to do about it ("" if it is well), and whether waiting is of no use."""
    if key not in facts.registered:
        return (
            f"{key} is not registered",
            f"Register it: `qytet bench description --device {subject.node.device}` says what the registry must know.",
            False,
        )
    row = facts.latest.get(key)
    if row is None:
        return f"no {key} yet", "Look at the sensor's wires and supply, and at `qytet bench monitor`.", False
    if row["age_s"] > subject.fresh_s:
        return (
            f"{key} is {_age(row['age_s'])} old",
            "The sensor or the line stopped: look at `qytet bench monitor`.",
            False,
        )
    value = row["value"]
    if value is None:
        if rule.startswith("weighted ") and facts.value(rule.partition(" ")[2]) == 0:
            return f"{key} none, as nothing was counted", "", False
        return (
            f"{key} has no value",
            "The sensor answers without a value: see its line in the monitor.",
            False,
        )
    known = properties()[key.partition(":")[0]]
    words = f"{key} {value:.5g} {known.ucum}"
    if not known.suspect_min <= value <= known.suspect_max or row["quality"] in (_SUSPECT, _FAIL):
        return (
            words,
            "This cannot be here: look at the sensor, its place and its wires; compare with a second one.",
            plausible.wrong(key, row),
        )
    return words, "", False


def _expected(key: str, subject: Subject) -> str:
    known: Property = properties()[key.partition(":")[0]]
    return f"{key} {known.suspect_min:g} … {known.suspect_max:g} {known.ucum}, at most {_age(subject.fresh_s)} old"


def _age(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 600 else f"{seconds / 60:.0f} min"
