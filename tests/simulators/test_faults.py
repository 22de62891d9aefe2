"""Each fault does what its name says, the same every time, and no accepted record falls between two actions."""

import itertools
import json
from collections import Counter

import pytest

from qytet_contract import records, strictjson
from qytet_contract.codes import ContractError
from qytet_simulators.city import CityModel, Reading, load_fleet
from qytet_simulators.faults import (
    QUIET,
    Booted,
    FaultStream,
    Hold,
    Resend,
    Scenario,
    SendGarbage,
    SendHist,
    SendLive,
    load_scenario,
    sample_scenarios,
)
from qytet_simulators.faults.scenario import (
    ClockStep,
    ClockUnset,
    Drift,
    Duplicate,
    Garbage,
    Offline,
    Reboot,
    Reorder,
    Spike,
    Stuck,
)

START = 1_790_000_000_000


def _readings(count=60, device="a-1"):
    return [
        Reading(device, START + 1000 * n + 300, {"pm2_5": 10 + n / 10, "no2": 20.0}) for n in range(count)
    ]


def _run(*faults, readings=None, scenario=None):
    stream = FaultStream(scenario or Scenario("test", seed=9, fault=faults), START)
    actions = [action for reading in readings or _readings() for action in stream.push(reading)]
    return actions + stream.finish()


def _live(actions):
    return [action.record for action in actions if isinstance(action, SendLive)]


def _backfilled(actions):
    return [record for action in actions if isinstance(action, SendHist) for record in action.records]


def test_without_faults_every_reading_is_one_live_record():
    """Sequence numbers count 1, 2, 3 under one boot; time, uptime and values are the reading's."""
    actions = _run(scenario=QUIET)
    booted, *sent = actions
    assert isinstance(booted, Booted)
    assert all(isinstance(action, SendLive) for action in sent)
    for number, (record, reading) in enumerate(zip(_live(actions), _readings(), strict=True), 1):
        assert (record.seq, record.boot, record.t, record.tq) == (number, booted.boot, reading.t_ms, "ntp")
        assert record.up == reading.t_ms - booted.at_ms > 0
        assert record.m == reading.values


@pytest.mark.parametrize("name", [*sample_scenarios(), "quiet"])
def test_every_accepted_record_is_sent_and_honours_the_contract(name):
    """Held or not, each record appears first once, is sent at least once, and its payload is valid."""
    scenario = QUIET if name == "quiet" else load_scenario(name)
    fleet = load_fleet().paced(1 / 60, 1, 10)
    actions = _run(scenario=scenario, readings=CityModel(fleet, 2).readings(START, START + 100_000))
    held: set[tuple[str, str, int]] = set()
    first, sent = Counter(), Counter()
    for action in actions:
        if isinstance(action, Hold | SendLive | Resend):
            record = action.record
            identity = (record.device, record.boot, record.seq)
            records.check_obs(strictjson.loads(json.dumps(record.obs()).encode()))
            if isinstance(action, Resend):
                assert sent[identity] > 0
            if isinstance(action, Hold) or (isinstance(action, SendLive) and identity not in held):
                first[identity] += 1
            if isinstance(action, Hold):
                held.add(identity)
            else:
                sent[identity] += 1
        elif isinstance(action, SendHist):
            assert {record.boot for record in action.records} == {action.boot}
            rows = [record.row() for record in action.records]
            assert not records.check_hist(records.hist(action.boot, rows[0][0], rows))
            sent.update((record.device, record.boot, record.seq) for record in action.records)
    assert set(first.values()) == {1}
    assert first.keys() == sent.keys()
    assert len(first) > 4000


@pytest.mark.parametrize("name", sample_scenarios())
def test_a_scenario_repeats_itself(name):
    """The same scenario on the same readings gives the same actions; another run has other boots."""
    readings = list(CityModel(load_fleet(["korce"]).paced(1 / 60, 1, 10), 2).readings(START, START + 60_000))
    first, again = (_run(scenario=load_scenario(name), readings=readings) for _ in range(2))
    assert first == again
    other = FaultStream(load_scenario(name), START, run="another")
    boots = {
        action.boot for reading in readings for action in other.push(reading) if isinstance(action, Booted)
    }
    assert boots.isdisjoint(action.boot for action in first if isinstance(action, Booted))


def test_offline_holds_and_backfills():
    """In the window nothing is sent; afterwards all of it arrives as hist of bounded size, in order, once."""
    actions = _run(Offline(from_s=10, to_s=40, batch=8))
    assert [record.seq for record in _backfilled(actions)] == list(range(11, 41))
    assert [record.seq for record in _live(actions)] == [*range(1, 11), *range(41, 61)]
    assert max(len(action.records) for action in actions if isinstance(action, SendHist)) == 8
    back = next(i for i, action in enumerate(actions) if isinstance(action, SendHist))
    assert isinstance(actions[back - 1], SendLive), "live goes first"


def test_backfill_comes_by_the_clock_alone():
    """A device that is back but has nothing new to say still sends what it held."""
    stream = FaultStream(Scenario("test", fault=(Offline(from_s=0, to_s=10),)), START)
    for reading in _readings(10):
        stream.push(reading)
    assert stream.tick(START + 9_999) == []
    assert len(_backfilled(stream.tick(START + 10_000))) == 10
    assert stream.finish() == []


def test_clock_step_shifts_stamps_only():
    """Stamps jump and come back, uptime does not, and no two records share a stamp."""
    for step_s in (-20, 3600):
        sent = _live(_run(ClockStep(from_s=10, to_s=30, step_s=step_s)))
        for record in sent:
            wrong = record.t - record.at_ms
            assert wrong == 0 if not 11 <= record.seq <= 30 else abs(wrong - 1000 * step_s) < 100
            assert record.tq == ("rtc" if wrong else "ntp")
        assert len({record.t for record in sent}) == len(sent)
        assert all(b.up - a.up == 1000 for a, b in itertools.pairwise(sent))


def test_clock_unset_has_no_time_but_uptime():
    """Before the clock is set a record has t null and tq none; a later record of the boot is its anchor."""
    sent = _live(_run(ClockUnset(to_s=15)))
    assert all(record.t is None and record.tq == "none" for record in sent[:15])
    anchor = sent[15]
    assert [anchor.t - anchor.up + record.up for record in sent[:15]] == [
        record.at_ms for record in sent[:15]
    ]


def test_reboot_starts_afresh():
    """Each restart has a new boot, seq 1 and a small uptime; while down nothing is measured."""
    actions = _run(Reboot(from_s=10, every_s=20, to_s=45, down_s=3, unset_s=2))
    boots = [action for action in actions if isinstance(action, Booted)]
    assert len(boots) == 3 == len({boot.boot for boot in boots})
    by_boot = [[record for record in _live(actions) if record.boot == boot.boot] for boot in boots]
    assert [len(part) for part in by_boot] == [10, 17, 27]
    for boot, part in zip(boots[1:], by_boot[1:], strict=True):
        assert [record.seq for record in part] == list(range(1, len(part) + 1))
        assert part[0].up == part[0].at_ms - boot.at_ms < 1000
        assert [record.t is None for record in part[:4]] == [True, True, False, False]


def test_reboot_of_an_offline_device_keeps_the_old_boots_records():
    """What was held before a restart is backfilled afterwards, each boot in messages of its own."""
    actions = _run(Offline(from_s=5, to_s=40), Reboot(from_s=20))
    parts = [action for action in actions if isinstance(action, SendHist)]
    assert [len(part.records) for part in parts] == [15, 20]
    assert parts[0].boot != parts[1].boot


def test_duplicate_repeats_some():
    """About the chosen share goes out twice, right after itself."""
    actions = _run(Duplicate(chance=0.3), readings=_readings(1000))
    again = [i for i, action in enumerate(actions) if isinstance(action, Resend)]
    assert 230 < len(again) < 370
    assert all(actions[i - 1] == SendLive(actions[i].record) for i in again)


def test_reorder_shuffles_within_its_depth():
    """All arrive once, not in order, none further away than the depth."""
    order = [record.seq for record in _live(_run(Reorder(depth=6), readings=_readings(100)))]
    assert sorted(order) == list(range(1, 101))
    assert order != sorted(order)
    assert all(abs(place - seq) < 6 for place, seq in enumerate(order, 1))


def test_reorder_ends_with_its_window():
    """After the window the rest leaves with the next tick, and order returns."""
    actions = _run(Reorder(depth=7, to_s=10))
    order = [record.seq for record in _live(actions)]
    assert sorted(order) == list(range(1, 61))
    assert order[20:] == list(range(21, 61))


def test_garbage_is_refused_by_the_contract():
    """Each malformed message is refused, all ways of being malformed occur, and the good records still go."""
    actions = _run(Garbage(chance=0.5), readings=_readings(600))
    reasons = Counter()
    for action in actions:
        if isinstance(action, SendGarbage):
            with pytest.raises(ContractError) as caught:
                records.check_obs(strictjson.loads(action.payload))
            reasons[caught.value.code] += 1
    assert 240 < reasons.total() < 360
    assert len(reasons) >= 6
    assert len(_live(actions)) == 600
    assert len({action.payload for action in actions if isinstance(action, SendGarbage)}) == reasons.total()


def test_garbage_claims_no_good_records_number():
    """A malformed message never carries the boot of good records, whose sequence it would blot."""
    actions = _run(Garbage(chance=1), readings=_readings(100))
    boot = next(action.boot for action in actions if isinstance(action, Booted)).encode()
    assert not any(
        boot in action.payload.split(b'"m"')[0] for action in actions if isinstance(action, SendGarbage)
    )


def test_stuck_repeats_the_first_value_of_its_window():
    """Only the named datastream freezes, only in the window."""
    sent = _live(_run(Stuck(keys=("pm*",), from_s=10, to_s=30)))
    values = [record.m["pm2_5"] for record in sent]
    assert set(values[10:30]) == {11.0}
    assert values[:10] + values[30:] == [
        reading.values["pm2_5"] for n, reading in enumerate(_readings()) if not 10 <= n < 30
    ]


def test_spike_leaps_now_and_then():
    """About the chosen share is off by exactly the size, both ways; the rest is untouched."""
    readings = _readings(1000)
    sent = _live(_run(Spike(keys=("no2",), size=50, chance=0.1), readings=readings))
    leaps = Counter(record.m["no2"] - 20 for record in sent)
    assert set(leaps) == {0, 50, -50}
    assert 60 < 1000 - leaps[0] < 140
    assert [record.m["pm2_5"] for record in sent] == [reading.values["pm2_5"] for reading in readings]


def test_drift_grows_with_time():
    """A value creeps by its rate from the window's start."""
    sent = _live(_run(Drift(keys=("no2",), per_hour=3600, from_s=20)))
    assert [record.m["no2"] for record in sent[:20]] == [20.0] * 20
    assert sent[20].m["no2"] == pytest.approx(20.3)
    assert sent[59].m["no2"] == pytest.approx(59.3)


def test_missing_values_stay_missing():
    """A null has nothing to spike or drift."""
    readings = [Reading("a-1", START + 1000 * n, {"vehicle_speed_mean:lane1": None}) for n in range(50)]
    sent = _live(_run(Spike(size=5, chance=1), Drift(per_hour=9), readings=readings))
    assert all(record.m == {"vehicle_speed_mean:lane1": None} for record in sent)


def test_what_is_held_is_bounded():
    """An endless outage does not eat memory: the stream forgets the oldest and leaves them to the backlog."""
    actions = _run(Offline(to_s=20_000), readings=_readings(12_000))
    assert len(_backfilled(actions)) == 10_000
    assert _backfilled(actions)[-1].seq == 12_000
