"""The rules' judgement, on injected time: limits, hysteresis, delays, stale readings, schedules."""

import datetime as dt
import tomllib
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from pydantic import ValidationError

from qytet_edge import config as configuration
from qytet_edge.rules import RuleConfig, Schedule
from tests.edge.rules_support import GATEWAY, METER, PIR, Street, rule

TIRANE = ZoneInfo("Europe/Tirane")


def test_a_rule_that_has_heard_nothing_takes_the_safe_value() -> None:
    """Before the first reading the rule cannot know, and its output goes where nobody is harmed."""
    street = Street(rule())
    assert street.positions() == ["failed"]
    assert street.lamp() == 80


def test_a_rule_follows_each_reading() -> None:
    """On while the value is beyond the limit, off when it is not; each change fires once."""
    street = Street(rule())
    street.say({"motion_count": 0})
    assert street.positions() == ["on"]
    assert street.lamp() == 30
    assert street.positions() == []
    street.say({"motion_count": 4})
    assert street.positions() == ["off"]
    assert street.lamp() == 100


def test_hysteresis_keeps_a_value_at_the_limit_from_chattering() -> None:
    """A value that trembles around the limit fires once, not at each reading."""
    water = rule(
        when=[{"device": METER, "key": "water_tank_level", "above": 2.0, "hysteresis": 0.2}],
        then={"output": "valve", "value": 0},
    )
    street = Street(water)
    fired = []
    for level in (1.9, 2.01, 1.99, 2.02, 1.85, 2.05, 1.79, 1.9, 1.99):
        street.say({"water_tank_level": level}, METER)
        fired += street.positions()
        street.pass_s(1)
    assert fired == ["off", "on", "off"]


def test_for_s_asks_for_an_unbroken_time() -> None:
    """The lamp dims only after ten minutes without motion, and a single motion begins the count anew."""
    street = Street(
        rule(when=[{"device": PIR, "key": "motion_count", "below": 1, "for_s": 600, "stale_s": 90}])
    )
    turned_on = []
    for minute in range(30):
        street.say({"motion_count": 1 if minute == 5 else 0})
        turned_on += [minute for at, position in street.run_s(60) if position == "on"]
    assert turned_on == [16], "quiet since the reading of minute 6"


def test_a_gap_longer_than_stale_breaks_what_held() -> None:
    """Nobody knows whether somebody walked by while the sensor was silent."""
    street = Street(
        rule(when=[{"device": PIR, "key": "motion_count", "below": 1, "for_s": 600, "stale_s": 90}])
    )
    street.say({"motion_count": 0})
    street.run_s(500)
    street.say({"motion_count": 0})
    assert [position for _at, position in street.run_s(89)] == ["off"]
    street.say({"motion_count": 0})
    assert street.lamp() == 100, "589 s after the first reading, but with a hole in between"


def test_a_stale_reading_takes_the_safe_value_at_its_time() -> None:
    """Exactly when the reading says nothing any more, without any new reading, the rule fails safe."""
    street = Street(rule())
    street.say({"motion_count": 0})
    assert street.run_s(2000) == [(1000.0, "on"), (pytest.approx(1900.0, abs=1e-3), "failed")]
    assert street.lamp() == 80


def test_keep_leaves_a_valve_as_it_is() -> None:
    """`fail_safe = "keep"` is a firing, and moves nothing."""
    street = Street(rule(fail_safe="keep"))
    street.say({"motion_count": 0})
    assert street.lamp() == 30
    street.pass_s(900)
    (firing,) = street.engine.evaluate(street.now, None)
    assert (firing.position, firing.value) == ("failed", None)
    assert street.lamp() == 30


def test_measured_without_value_is_no_reading() -> None:
    """A sensor that says "no value" is soon as good as silent."""
    street = Street(rule())
    street.say({"motion_count": 0})
    street.pass_s(800)
    street.say({"motion_count": None})
    street.pass_s(100)
    assert street.positions()[-1] == "failed"


def test_an_old_reading_is_no_news() -> None:
    """What a file or a node brings from yesterday moves nothing today; nor does one out of order."""
    noon = dt.datetime(2026, 9, 1, 12, tzinfo=TIRANE)
    street = Street(rule(), local=noon)
    assert street.t_ms is not None
    street.say({"motion_count": 0}, t_ms=street.t_ms - 86_400_000)
    assert street.positions() == ["failed"]
    street.say({"motion_count": 0}, t_ms=street.t_ms - 60_000)
    assert street.positions() == ["on"]
    street.say({"motion_count": 7}, t_ms=street.t_ms - 120_000)
    assert street.positions() == []
    assert street.run_s(1000)[-1] == (pytest.approx(1840.0, abs=0.01), "failed"), (
        "it counts from when it was measured"
    )


def test_a_dated_reading_counts_for_nothing_while_our_time_is_unknown() -> None:
    """Without a clock its age cannot be told: it might be of last year."""
    street = Street(rule())
    street.say({"motion_count": 0}, t_ms=1_790_000_000_000)
    assert street.positions() == ["failed"]


def test_a_reading_from_the_future_counts_for_nothing() -> None:
    """A clock that runs ahead must not keep a reading fresh for ever."""
    street = Street(rule(), local=dt.datetime(2026, 9, 1, 12, tzinfo=TIRANE))
    assert street.t_ms is not None
    street.say({"motion_count": 0}, t_ms=street.t_ms + 3_600_000)
    assert street.positions() == ["failed"]


@pytest.mark.parametrize(
    ("match", "motion", "level", "expected"),
    [
        ("all", 0, 3, "on"),
        ("all", 0, 1, "off"),
        ("all", 5, None, "off"),
        ("all", 0, None, "failed"),
        ("any", 5, 3, "on"),
        ("any", 0, None, "on"),
        ("any", 5, None, "failed"),
        ("any", 5, 1, "off"),
    ],
)
def test_what_is_unknown_decides_only_what_it_must(
    match: str, motion: float, level: float | None, expected: str
) -> None:
    """One false of all, one true of any, settles it; otherwise an unknown condition makes the rule unknown."""
    conditions = [
        {"device": PIR, "key": "motion_count", "below": 1},
        {"device": METER, "key": "water_tank_level", "above": 2},
    ]
    street = Street(rule(match=match, when=conditions))
    street.say({"motion_count": motion})
    street.say({"water_tank_level": level}, METER)
    assert street.positions() == [expected]


def test_minimum_times_hold_the_output_but_not_the_safe_value() -> None:
    """A pump stays on for its minimum; a reading that goes stale moves it at once."""
    street = Street(rule(min_on_s=120, min_off_s=60))
    street.say({"motion_count": 0})
    assert street.positions() == ["on"]
    street.pass_s(10)
    street.say({"motion_count": 5})
    assert street.run_s(300) == [(pytest.approx(1120.0, abs=1e-3), "off")]
    street.say({"motion_count": 0})
    assert street.positions() == ["on"]
    street = Street(rule(min_on_s=3600))
    street.say({"motion_count": 0})
    assert [position for _at, position in street.run_s(1000)] == ["on", "failed"]


def test_a_schedule_opens_and_closes_at_local_time_over_midnight() -> None:
    """A window from 22:00 to 06:00 opens and closes on the minute, also over midnight."""
    night = rule(
        schedule={"from": "22:00", "to": "06:00"},
        when=[{"key": "photocell_illuminance", "below": 10, "stale_s": 90_000}],
    )
    begin = dt.datetime(2026, 9, 1, 20, tzinfo=TIRANE)
    street = Street(night, local=begin)
    street.say({"photocell_illuminance": 1}, GATEWAY)
    changes = [
        ((begin + dt.timedelta(seconds=at - 1000)).strftime("%H:%M"), position)
        for at, position in street.run_s(12 * 3600)
    ]
    assert changes == [("20:00", "off"), ("22:00", "on"), ("06:00", "off")]


def test_a_schedule_cannot_work_without_the_time() -> None:
    """Nobody knows whether it is night: the rule takes its safe value, and says why."""
    street = Street(rule(schedule={"from": "22:00", "to": "06:00"}))
    street.say({"motion_count": 0})
    (firing,) = street.engine.evaluate(street.now, None)
    assert (firing.position, firing.why) == ("failed", "the time is not known")


@pytest.mark.parametrize(
    ("when", "inside"),
    [
        ("2026-10-23T23:00", True),  # Friday night
        ("2026-10-24T05:00", True),  # Saturday morning belongs to Friday's window
        ("2026-10-24T23:00", False),
        ("2026-10-23T05:00", False),  # Friday morning belongs to Thursday's
        ("2026-10-23T21:59", False),
    ],
)
def test_the_day_of_a_window_is_the_one_on_which_it_opened(when: str, inside: bool) -> None:
    """A window over midnight belongs to the day of its evening."""
    schedule = Schedule.model_validate({"from": "22:00", "to": "06:00", "days": ["fri"]})
    assert schedule.contains(dt.datetime.fromisoformat(when).replace(tzinfo=TIRANE)) is inside


def test_a_window_follows_the_change_to_winter_time() -> None:
    """At 03:00 summer time it becomes 02:00: a window to 04:00 lasts an hour longer that night."""
    night = rule(
        schedule={"from": "00:00", "to": "04:00"},
        when=[{"key": "photocell_illuminance", "below": 10, "stale_s": 90_000}],
    )
    begin = dt.datetime(2026, 10, 24, 22, tzinfo=dt.UTC)  # 00:00 of the 25th in Tirana, still summer time
    street = Street(night, local=begin)
    street.say({"photocell_illuminance": 1}, GATEWAY)
    assert street.run_s(6 * 3600) == [(1000.0, "on"), (pytest.approx(1000 + 5 * 3600, abs=0.01), "off")]


def test_the_first_rule_that_speaks_decides_an_output() -> None:
    """Motion beats the night's dimming; when neither holds, the first `else` counts."""
    bright = rule(
        name="bright",
        when=[{"device": PIR, "key": "motion_count", "above": 0.5}],
        then={"output": "lamp", "value": 100},
        **{"else": None},
    )
    dark = rule(name="dim", when=[{"key": "photocell_illuminance", "below": 10}], **{"else": 0})
    street = Street(bright, dark)
    street.say({"photocell_illuminance": 1}, GATEWAY)
    street.say({"motion_count": 0})
    assert street.lamp() == 30
    street.say({"motion_count": 2})
    assert street.lamp() == 100
    street.say({"motion_count": 0})
    street.say({"photocell_illuminance": 500}, GATEWAY)
    assert street.lamp() == 0


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"when": []}, "at least 1"),
        ({"when": [{"key": "no_such_thing", "above": 1}]}, "no_such_thing"),
        ({"when": [{"key": "motion_count"}]}, "either `above` or `below`"),
        ({"when": [{"key": "motion_count", "above": 1, "below": 0}]}, "either `above` or `below`"),
        ({"when": [{"key": "motion_count", "above": float("nan")}]}, "finite"),
        ({"schedule": {"from": "25:00"}}, "pattern"),
        ({"schedule": {"zone": "Mars/Olympus"}}, "no time zone"),
        ({"fail_safe": "off"}, "keep"),
        ({"then": {"output": "lamp", "value": 1, "speed": 2}}, "Extra"),
    ],
)
def test_a_rule_that_makes_no_sense_is_refused(change: dict[str, Any], said: str) -> None:
    """A mistake in a rule is found when the file is read, and named."""
    with pytest.raises(ValidationError, match=said):
        rule(**change)


def test_a_rule_must_say_what_is_safe() -> None:
    """There is no default for the safe value: whoever writes the rule has to think of it."""
    with pytest.raises(ValidationError, match="fail_safe"):
        RuleConfig.model_validate(
            {
                "name": "x",
                "when": [{"key": "motion_count", "above": 1}],
                "then": {"output": "lamp", "value": 1},
            }
        )


def test_the_samples_rules_do_what_they_say() -> None:
    """The shipped examples dim a lamp at night without motion, close a valve, and light a beacon."""
    text = configuration.sample().replace("#: ", "")
    rules = tuple(RuleConfig.model_validate(table) for table in tomllib.loads(text)["rule"])
    street = Street(*rules, local=dt.datetime(2026, 9, 1, 22, 30, tzinfo=TIRANE))
    seen = []
    for minute in range(90):
        street.say({"motion_count": 1 if minute == 65 else 0}, "pir-north")
        street.say({"water_tank_level": 3.0 + minute / 60}, "tank-1")
        street.say({"sewer_level": 2.0 if minute >= 80 else 0.4}, "sewer-1")
        seen += [(minute, one.output, one.value) for one in street.engine.evaluate(street.now, street.t_ms)]
        street.run_s(30)
        seen += [(minute, one.output, one.value) for one in street.engine.evaluate(street.now, street.t_ms)]
        street.pass_s(30)
    assert seen == [
        (0, "lamp-north", 100),
        (0, "inlet-valve", 100),
        (0, "flood-beacon", 0),
        (30, "lamp-north", 30),
        (49, "inlet-valve", 0),
        (65, "lamp-north", 100),
        (76, "lamp-north", 30),
        (80, "flood-beacon", 1),
    ]
    street.run_s(900)
    assert street.engine.wanted == {"lamp-north": 100, "inlet-valve": 0, "flood-beacon": 1}, "all silent"
