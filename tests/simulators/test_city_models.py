"""Plausible to a professional: each domain behaves as its trade expects, and the domains hang together."""

from datetime import UTC, datetime

import numpy as np
import pytest

from qytet_contract.properties import PROPERTIES
from qytet_simulators.city import CityModel, Leak, load_fleet

DAY = 86_400_000
HOUR = 3_600_000


def _ms(*when):
    return round(datetime(*when, tzinfo=UTC).timestamp() * 1000)


WINTER, SUMMER = _ms(2026, 1, 12), _ms(2026, 7, 6)  # Mondays


@pytest.fixture(scope="module", params=[WINTER, SUMMER], ids=["winter", "summer"])
def week(request):
    """A week of the whole fleet: device -> series, with `t` counted in local hours since Monday 00:00."""
    start = request.param
    offset = HOUR if start == WINTER else 2 * HOUR
    return start - offset, {
        one.device: one for one in CityModel(load_fleet(), 3).block(start, start + 7 * DAY)
    }


def _hours(start, series):
    return (series.t_ms - start) / HOUR


def _mean(start, series, key, low, high, days=range(5)):
    """Mean over local hours low..high of the days (0 is Monday)."""
    hours = _hours(start, series)
    chosen = (hours % 24 >= low) & (hours % 24 < high) & np.isin(hours // 24, list(days))
    return float(np.nanmean(series.columns[key][chosen]))


def _of(found, profile):
    names = {device.name for device in load_fleet().devices if device.profile.name == profile}
    return [one for name, one in found.items() if name in names]


def test_everything_lies_within_the_catalogue(week):
    """No healthy device ever reports what the catalogue calls impossible."""
    _, found = week
    for one in found.values():
        for key, column in one.columns.items():
            _, low, high, *_ = PROPERTIES[key.partition(":")[0]]
            assert np.nanmin(column) >= low, (one.device, key)
            assert np.nanmax(column) <= high, (one.device, key)


def test_traffic_has_two_peaks_and_quiet_nights(week):
    """Working mornings and evenings carry several times the night's vehicles; Sunday has no morning peak."""
    start, found = week
    for one in _of(found, "traffic_counter"):
        night, morning, noon, evening = (
            _mean(start, one, "vehicle_count:lane1", *hours)
            for hours in ((2, 4), (7.5, 8.5), (10, 11), (16.5, 17.5))
        )
        assert morning > 5 * night
        assert evening > 5 * night
        assert max(morning, evening) > 1.1 * noon
        assert _mean(start, one, "vehicle_count:lane1", 7.5, 8.5, [6]) < 0.6 * morning


def test_speed_is_missing_exactly_when_nobody_came(week):
    """Speed is null if and only if the count is 0; occupancy is 0 exactly then."""
    _, found = week
    for one in _of(found, "traffic_counter"):
        for lane in (1, 2):
            count = one.columns[f"vehicle_count:lane{lane}"]
            assert (np.isnan(one.columns[f"vehicle_speed_mean:lane{lane}"]) == (count == 0)).all()
            assert ((one.columns[f"lane_occupancy:lane{lane}"] == 0) == (count == 0)).all()
            assert (count == 0).any()


def test_queues_are_slow_dense_and_rare(week):
    """Congestion exists, is slow and occupied, and no lane carries more than its physical capacity."""
    _, found = week
    counters = _of(found, "traffic_counter")
    speed = np.concatenate([one.columns["vehicle_speed_mean:lane1"] for one in counters])
    occupancy = np.concatenate([one.columns["lane_occupancy:lane1"] for one in counters])
    queued = speed < 18
    assert 0.002 < queued.mean() < 0.12
    assert occupancy[queued].mean() > 3 * occupancy[~queued].mean()
    hourly = [one.columns["vehicle_count:lane1"].reshape(-1, 60).sum(axis=1).max() for one in counters]
    assert max(hourly) <= 2400


def test_particles_nest(week):
    """PM1 <= PM2.5 <= PM10, always."""
    _, found = week
    for one in _of(found, "air_station"):
        assert (one.columns["pm1"] <= one.columns["pm2_5"]).all()
        assert (one.columns["pm2_5"] <= one.columns["pm10"]).all()


def test_no2_follows_traffic_and_eats_ozone(week):
    """At a junction NO2 rises with the vehicles nearby, a little later, and ozone falls as NO2 rises."""
    start, found = week
    air, traffic = found["tirana-air-01"], found["tirana-traffic-01"]
    vehicles = traffic.columns["vehicle_count:lane1"].astype(float).reshape(-1, 15).mean(axis=1)
    no2 = air.columns["no2"].reshape(-1, 15).mean(axis=1)
    assert np.corrcoef(vehicles, no2)[0, 1] > 0.5
    assert np.corrcoef(vehicles[:-1], no2[1:])[0, 1] > np.corrcoef(vehicles[1:], no2[:-1])[0, 1]
    rush, night = ((8, 9), (2, 4))
    assert _mean(start, air, "no2", *rush) > 2 * _mean(start, air, "no2", *night)
    assert _mean(start, air, "o3", *rush) < _mean(start, air, "o3", 11, 14)
    assert _mean(start, air, "o3", *rush) < 0.8 * _mean(start, found["tirana-air-03"], "o3", *rush)


def test_particles_follow_traffic_at_a_junction(week):
    """PM10 beside the road is correlated with the vehicles, less so in a park."""
    _, found = week
    vehicles = (
        found["tirana-traffic-01"].columns["vehicle_count:lane1"].astype(float).reshape(-1, 60).mean(axis=1)
    )
    road, park = (
        np.corrcoef(vehicles, found[name].columns["pm10"].reshape(-1, 60).mean(axis=1))[0, 1]
        for name in ("tirana-air-01", "tirana-air-03")
    )
    assert road > 0.4
    assert road > park


def test_korce_burns_wood_in_winter():
    """A January evening in Korce holds several times the PM2.5 of a July evening and of its own noon."""
    model = CityModel(load_fleet().only(["korce-air-02"]).paced(5), 3)
    evening = {}
    for name, start in (("winter", WINTER), ("summer", SUMMER)):
        (one,) = model.block(start, start + 28 * DAY)
        evening[name] = _mean(start, one, "pm2_5", 18, 21, range(28))
        evening[name + " noon"] = _mean(start, one, "pm2_5", 11, 13, range(28))
    assert evening["winter"] > 3 * evening["summer"]
    assert evening["winter"] > 2 * evening["winter noon"]


def test_air_pressure_is_the_stations_own(week):
    """Korce reads about 915 hPa, Durres about sea level; nobody reduces to sea level in the device."""
    _, found = week
    assert 895 < found["korce-air-01"].columns["air_pressure"].mean() < 935
    assert 995 < found["durres-air-01"].columns["air_pressure"].mean() < 1035


def test_weather_is_consistent(week):
    """Dew point <= temperature, gust >= mean wind, no sun at night, a sun of summer strength by day."""
    _, found = week
    for one in _of(found, "weather_station"):
        column = one.columns
        assert (column["dew_point_temperature"] <= column["air_temperature"]).all()
        assert (column["wind_speed_of_gust"] >= column["wind_speed"]).all()
        night = np.abs(column["solar_irradiance"][(one.t_ms % DAY < 2 * HOUR) | (one.t_ms % DAY > 22 * HOUR)])
        assert night.max() <= 5
        assert column["solar_irradiance"].max() > 150
        assert ((column["wind_from_direction"] >= 1) & (column["wind_from_direction"] <= 360)).all()


def _sound_lamps(found):
    """(series, number) of lamps that neither failed to light nor burned by day this week."""
    for one in _of(found, "lamp_controller"):
        for key in one.columns:
            if key.startswith("lamp_active_power"):
                watts, level = one.columns[key], one.columns[key.replace("active_power", "dimming_level")]
                if (watts[level > 0] > 10).all() and (watts[level == 0] == 0).all():
                    yield one, key.partition(":")[2]


def test_lamps_follow_the_sun_and_the_clock(week):
    """Dark at noon, full after dusk, 70 % before midnight, 50 % after; power as the formula says."""
    start, found = week
    lamps = list(_sound_lamps(found))
    assert len(lamps) > 40
    for one, lamp in lamps[::5]:
        key = f"lamp_dimming_level:{lamp}"
        assert _mean(start, one, key, 11, 13) == 0
        assert _mean(start, one, f"lamp_active_power:{lamp}", 11, 13) == 0
        assert _mean(start, one, key, 22.05, 23.95) == 70
        assert _mean(start, one, key, 0.05, 4) == 50
        full, half = (
            _mean(start, one, f"lamp_active_power:{lamp}", *hours) for hours in ((21.5, 22), (1, 4))
        )
        assert half / full == pytest.approx(0.05 + 0.95 * 0.5, abs=0.02)


def test_lamp_meters_agree_with_each_other():
    """P = V I PF within a tenth, energy never falls and is the integral of the power, faulty lamps included."""
    fleet = load_fleet()
    lamps = fleet.only(d.name for d in fleet.devices if d.profile.name == "lamp_controller").paced(1 / 15)
    for one in CityModel(lamps, 3).block(WINTER, WINTER + 2 * DAY):
        for key in one.columns:
            if key.startswith("lamp_active_power"):
                _check_lamp(one, key.partition(":")[2])


def _check_lamp(one, lamp):
    watts, energy = one.columns[f"lamp_active_power:{lamp}"], one.columns[f"lamp_energy_total:{lamp}"]
    current, factor = one.columns[f"lamp_supply_current:{lamp}"], one.columns[f"lamp_power_factor:{lamp}"]
    lit = watts > 5
    product = one.columns["lamp_supply_voltage"] * current * factor
    assert np.abs(product[lit] / watts[lit] - 1).max(initial=0) < 0.1
    assert (product[~lit] < 1).all()
    assert (np.diff(energy) >= 0).all()
    assert energy[-1] - energy[0] == pytest.approx(watts.sum() / 60 / 1000, rel=0.02, abs=0.05)


def test_lamps_fail_in_the_known_ways():
    """Among hundreds of lamps over a quarter there are dark ones, day-burners and cycling ones, and few of them."""
    fleet = load_fleet().scale(600)
    model = CityModel(fleet.only(d.name for d in fleet.devices if d.profile.name == "lamp_controller"), 3)
    dark = burning = total = 0
    for week_number in range(0, 12, 2):
        noon, night = (model.sample(WINTER + week_number * 7 * DAY + hour * HOUR) for hour in (11, 0))
        for device in noon:
            for key, level in night[device].items():
                if key.startswith("lamp_dimming_level"):
                    power = key.replace("dimming_level", "active_power")
                    total += 1
                    dark += 0 < night[device][power] < 5 < level
                    burning += noon[device][power] > 20
    assert 0.005 < dark / total < 0.03
    assert 0.003 < burning / total < 0.025


def test_cabinet_power_follows_its_lamps(week):
    """The cabinet draws kilowatts at night and next to nothing by day; its photocell sees why."""
    start, found = week
    for one in _of(found, "lighting_cabinet"):
        assert _mean(start, one, "cabinet_active_power", 22, 23) > 20 * _mean(
            start, one, "cabinet_active_power", 11, 13
        )
        assert _mean(start, one, "photocell_illuminance", 11, 13) > 3000
        assert _mean(start, one, "photocell_illuminance", 0, 3) < 1


def test_water_sleeps_at_night_and_presses_then(week):
    """Night flow is below 40 % of the peak; pressure is highest when flow is least."""
    start, found = week
    for one in _of(found, "water_dma"):
        night = _mean(start, one, "water_flow_rate", 2, 4)
        peak = max(_mean(start, one, "water_flow_rate", hour, hour + 1) for hour in range(24))
        assert night < 0.4 * peak
        assert _mean(start, one, "water_pressure", 2, 4) > _mean(start, one, "water_pressure", 7, 8)
        assert np.corrcoef(one.columns["water_flow_rate"], one.columns["water_pressure"])[0, 1] < -0.9
        assert one.columns["water_pressure"].min() > 1


def test_water_counter_adds_up(week):
    """The volume counter never falls and is the integral of the flow."""
    _, found = week
    for one in _of(found, "water_dma"):
        volume = one.columns["water_volume_total"]
        assert (np.diff(volume) >= 0).all()
        assert volume[-1] - volume[0] == pytest.approx(
            one.columns["water_flow_rate"][:-1].sum() / 60, rel=0.02
        )


def test_a_leak_raises_the_night_and_lowers_the_pressure():
    """A burst of 10 m3/h lifts the night minimum by nearly that while it lasts, and only then."""
    fleet = load_fleet().only(["korce-dma-01"])
    leak = Leak("korce-dma-01", WINTER + 2 * DAY, WINTER + 4 * DAY, 10.0)
    (without,), (leaking,) = (
        CityModel(fleet, 3, leaks).block(WINTER, WINTER + 6 * DAY) for leaks in ((), (leak,))
    )
    for day, extra in ((1, 0), (3, 10), (5, 0)):
        nights = [_mean(WINTER, one, "water_flow_rate", 1, 3, [day]) for one in (without, leaking)]
        assert nights[1] - nights[0] == pytest.approx(extra, abs=1.0)
    pressures = [_mean(WINTER, one, "water_pressure", 7, 8, [3]) for one in (without, leaking)]
    assert pressures[1] < pressures[0] - 0.05
    assert leaking.columns["water_volume_total"][-1] - without.columns["water_volume_total"][
        -1
    ] == pytest.approx(2 * 24 * 10, rel=0.1)


def test_a_leak_stays_with_its_device():
    """Copies of a zone in a scaled fleet neither leak with it nor count its leak's water."""
    described = load_fleet().only(["korce-dma-01"])
    model = CityModel(described.scale(3), 3, (Leak("korce-dma-01", WINTER, WINTER + DAY, 10.0),))
    tight = CityModel(described.scale(3), 3)
    for one, sound in zip(model.block(WINTER, WINTER + DAY), tight.block(WINTER, WINTER + DAY), strict=True):
        leaks = one.device == "korce-dma-01"
        for key in ("water_flow_rate", "water_volume_total"):
            assert (one.columns[key] == sound.columns[key]).all() != leaks, (one.device, key)


def test_tanks_cycle_between_their_levels(week):
    """A tank stays within its walls, and its level rises exactly while the pump runs faster than the town drinks."""
    _, found = week
    for one in _of(found, "water_tank"):
        level, running = one.columns["water_tank_level"], one.columns["pump_running"]
        assert 2.2 < level.min() < level.max() < 5
        assert level.max() - level.min() > 1
        assert 10 < np.abs(np.diff(running)).sum() < 200
        assert (one.columns["pump_active_power"][running == 0] == 0).all()
        assert (one.columns["water_flow_rate:inlet"][running == 1] > 0).all()
        surplus = one.columns["water_flow_rate:inlet"] - one.columns["water_flow_rate:outlet"]
        rise = level[60::60] - level[:-60:60]
        assert np.corrcoef(rise, surplus[: len(rise) * 60].reshape(-1, 60).mean(axis=1))[0, 1] > 0.95


def test_quality_probes_are_slow(week):
    """From one minute to the next most readings of a probe do not change, yet over the week they do."""
    _, found = week
    for one in _of(found, "water_quality"):
        for key in (
            "water_ph",
            "water_free_chlorine",
            "water_turbidity",
            "water_conductivity",
            "water_temperature",
        ):
            assert np.median(np.abs(np.diff(one.columns[key]))) == 0
            assert len(np.unique(one.columns[key])) > 3
        assert (one.columns["water_free_chlorine"] >= 0.2).all()
