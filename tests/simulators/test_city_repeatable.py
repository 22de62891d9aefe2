"""Reproducible to the byte: whatever is asked for, in whatever pieces, gives the same readings."""

import hashlib
import json
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from qytet_simulators.city import CityModel, load_fleet
from qytet_simulators.city.clock import EPOCH_MS, local_time
from qytet_simulators.city.noise import key_of, normal, poisson, smooth, uniform

START = 1_790_000_000_000
MINUTE = 60_000


def _text(readings):
    return "\n".join(json.dumps([r.device, r.t_ms, r.values]) for r in readings)


def _readings(model, minutes=1, **how):
    return list(model.readings(START, START + round(minutes * MINUTE), **how))


def _fleet():
    return load_fleet().paced(1 / 12, 1, 20)


def test_same_seed_same_bytes():
    """Two models of one seed agree to the byte; another seed differs."""
    first, again = (hashlib.sha256(_text(_readings(CityModel(_fleet(), 5))).encode()) for _ in range(2))
    assert first.digest() == again.digest()
    assert _text(_readings(CityModel(_fleet(), 5))) != _text(_readings(CityModel(_fleet(), 6)))


@pytest.mark.parametrize("window_ms", [700, 7_000, 60_000, 240_000])
def test_chunks_do_not_matter(window_ms):
    """Windows of any length give the readings of one piece."""
    model = CityModel(_fleet(), 5)
    assert _text(_readings(model, window_ms=window_ms)) == _text(
        _readings(CityModel(_fleet(), 5), window_ms=10**9)
    )


def test_company_does_not_matter():
    """A device asked for alone, or in a fleet of hundreds, reads what it reads among its fellows."""
    names = [device.name for device in load_fleet().devices][::7]
    everyone = [r for r in _readings(CityModel(_fleet(), 5)) if r.device in names]
    alone = _readings(CityModel(_fleet().only(names), 5))
    crowd = [r for r in _readings(CityModel(_fleet().scale(400), 5)) if r.device in names]
    assert _text(everyone) == _text(alone) == _text(crowd)


def test_looking_ahead_does_not_matter():
    """Tables made longer by a later question do not change an earlier answer."""
    names = ["tirana-tank-01", "korce-dma-01", "durres-lamp-01"]
    fresh, used = (CityModel(load_fleet().only(names), 5) for _ in range(2))
    used.sample(START + 4 * 366 * 86_400_000)
    assert fresh.sample(START) == used.sample(START)


def test_sample_agrees_with_block():
    """One instant asked for by itself gives the same values as in a series."""
    model = CityModel(_fleet(), 5)
    for reading in _readings(model, 1)[::97]:
        assert model.sample(reading.t_ms)[reading.device] == reading.values


def test_instants_are_regular_and_complete():
    """Every device reports once in each of its intervals, no more and no less."""
    model = CityModel(_fleet(), 5)
    for series in model.block(START, START + 3 * MINUTE):
        interval = model.fleet.by_name[series.device].interval_ms
        assert len(series.t_ms) == 3 * MINUTE // interval
        assert (np.diff(series.t_ms) == interval).all()
        assert series.t_ms[0] >= START
        assert series.t_ms[-1] < START + 3 * MINUTE


def test_values_are_plain_and_short():
    """What goes into JSON is an int, a float of few digits, or None; never a numpy type or -0.0."""
    for reading in _readings(CityModel(_fleet(), 5), 1):
        for value in reading.values.values():
            assert type(value) in (int, float, type(None))
            assert len(str(value)) <= 12
            assert str(value) != "-0.0"


def test_out_of_range_is_refused():
    """Instants beyond the models' tables raise instead of giving nonsense."""
    model = CityModel(_fleet(), 5)
    for t_ms in (EPOCH_MS - 1, 4_000_000_000_000):
        with pytest.raises(ValueError, match="2024"):
            model.sample(t_ms)


def test_noise_is_what_it_claims():
    """Uniform, normal, smooth and Poisson numbers have the moments that the models rely on."""
    counter = np.arange(200_000, dtype=np.int64)
    key = key_of(1, "noise")
    assert abs(uniform(key, counter).mean() - 0.5) < 0.005
    assert abs(normal(key, counter).mean()) < 0.01
    assert abs(normal(key, counter).std() - 1) < 0.01
    assert abs(smooth(key, counter * 100, 1000).std() - 1) < 0.03
    for mean in (0.3, 4.0, 30.0, 90.0):
        counts = poisson(key, counter, np.full(counter.shape, mean))
        assert abs(counts.mean() - mean) < 0.02 * mean + 0.01
        assert abs(counts.var() - mean) < 0.03 * mean + 0.01


def test_civil_time_follows_the_zone():
    """Local hours agree with the zone's rules on both days of the switch."""
    zone = ZoneInfo("Europe/Tirane")
    for start in (datetime(2026, 3, 29, tzinfo=UTC), datetime(2026, 10, 25, tzinfo=UTC)):
        instants = [start + timedelta(minutes=20 * step) for step in range(72)]
        t_ms = np.array([round(instant.timestamp() * 1000) for instant in instants], dtype=np.int64)
        local = local_time(t_ms, "Europe/Tirane")
        for index, instant in enumerate(instants):
            civil = instant.astimezone(zone)
            assert local.hour[index] == pytest.approx(civil.hour + civil.minute / 60)
            assert bool(local.resting[index]) == (civil.weekday() == 6)


def test_thousands_of_devices_share_their_tables():
    """A fleet of thousands is ready in seconds: copies share tanks and volumes with the device they copy."""
    model = CityModel(load_fleet().scale(3000), 5)
    first = model.sample(START)
    assert len(first) == 3000
    assert first["tirana-tank-01-x0001"]["water_tank_level"] == pytest.approx(
        first["tirana-tank-01"]["water_tank_level"], abs=0.02
    )
    assert first["tirana-air-01-x0001"]["pm2_5"] != first["tirana-air-01"]["pm2_5"]
