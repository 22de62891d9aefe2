"""Rules over a restart: nothing fires anew, nothing dead comes to life, and what was changed begins afresh."""

import msgspec
import pytest

from qytet_edge.rules import RuleConfig
from tests.edge.rules_support import METER, PIR, Street, rule


def restarted(street: Street, *rules: RuleConfig, after_s: float, same_boot: bool = True) -> Street:
    """The engine after a restart: what was kept goes through JSON, as the spool keeps it."""
    kept = msgspec.json.decode(msgspec.json.encode(street.engine.save(street.now)))
    fresh = Street(*rules, now=street.now + after_s if same_boot else 20.0)
    fresh.engine.restore(kept, fresh.now, same_boot=same_boot)
    return fresh


@pytest.mark.parametrize("same_boot", [True, False])
def test_a_restart_changes_nothing(same_boot: bool) -> None:
    """After a restart, of the program or of Linux, rules stand where they stood and nothing fires."""
    street = Street(rule())
    street.say({"motion_count": 0})
    street.positions()
    fresh = restarted(street, rule(), after_s=30, same_boot=same_boot)
    assert fresh.positions() == []
    assert fresh.lamp() == 30


def test_a_restart_does_not_revive_a_dead_sensor() -> None:
    """What was unknown before the restart is unknown after it."""
    street = Street(rule())
    street.say({"motion_count": 0})
    street.run_s(2000)
    fresh = restarted(street, rule(), after_s=5)
    assert fresh.positions() == []
    assert fresh.lamp() == 80


def test_a_delay_goes_on_over_a_short_restart_and_begins_anew_after_a_long_one() -> None:
    """Ten minutes without motion may include a restart, but not an hour in which nobody looked."""
    slow = rule(when=[{"device": PIR, "key": "motion_count", "below": 1, "for_s": 600, "stale_s": 300}])
    for gap in (60, 3600):
        street = Street(slow)
        for _ in range(5):
            street.say({"motion_count": 0})
            street.run_s(100)
        fresh = restarted(street, slow, after_s=gap)
        turned_on = []
        for _ in range(12):
            fresh.say({"motion_count": 0})
            turned_on += [at for at, position in fresh.run_s(100) if position == "on"]
        assert turned_on == [pytest.approx(1600.0 if gap == 60 else 1500 + gap + 600, abs=1e-3)]


def test_a_minimum_time_goes_on_over_a_restart() -> None:
    """A pump that must run two minutes does, though the program restarts in the first."""
    pump = rule(min_on_s=120)
    street = Street(pump)
    street.say({"motion_count": 0})
    street.positions()
    street.pass_s(50)
    fresh = restarted(street, pump, after_s=10)
    fresh.say({"motion_count": 5})
    assert fresh.run_s(200) == [(pytest.approx(1120.0, abs=1e-3), "off")]


def test_a_rule_that_was_changed_begins_afresh() -> None:
    """A kept state of other conditions says nothing about these."""
    street = Street(rule())
    street.say({"motion_count": 0})
    street.positions()
    other = rule(when=[{"device": METER, "key": "motion_count", "below": 1}])
    assert restarted(street, other, after_s=5).positions() == ["failed"]
