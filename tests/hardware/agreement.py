"""Compares what a node told the city with what there was to measure: every value of every report, key by key."""

from collections.abc import Iterator, Mapping
from itertools import pairwise
from typing import Any

from qytet_simulators.hardware.profiles import Surroundings
from qytet_simulators.hardware.sensors.pulses import Door, Motion, PulseMeter
from qytet_simulators.hardware.sensors.pzem004t import PzemMeter
from qytet_simulators.hardware.sensors.radar import Radar
from qytet_simulators.hardware.sensors.traffic import Lane, LoopDetector

Report = tuple[int, int, Mapping[str, float | None]]
"""When the one before was made, when it was made (Unix ms), and what it says."""

RESOLUTION = {
    "pm1": 0.001,
    "pm2_5": 0.001,
    "pm4": 0.001,
    "pm10": 0.001,
    "particle_number_concentration_pm0_5": 0.001,
    "co2": 0.5,
    "air_temperature": 0.035,
    "relative_humidity": 0.03,
    "air_pressure": 0.06,
    "electrode_voltage_we": 0.1,
    "electrode_voltage_ae": 0.1,
    "lamp_supply_voltage": 0.05,
    "lamp_supply_current": 0.0006,
    "lamp_active_power": 0.05,
    "lamp_power_factor": 0.006,
    "grid_phase_voltage": 0.05,
    "grid_current": 0.001,
    "grid_active_power": 0.0001,
    "grid_power_factor": 0.006,
    "grid_frequency": 0.051,
    "photocell_illuminance": 0.6,
    "ambient_illuminance": 0.6,
    "water_pressure": 0.001,
    "water_tank_level": 0.0005,
    "water_temperature": 0.035,
    "container_temperature": 0.035,
    "inclination": 0.02,
    "magnetic_flux_density": 0.01,
    "lamp_dimming_level": 0.01,
    "sewer_level": 0.006,
    "sewer_level_distance": 0.006,
    "waste_fill_distance": 0.003,
    "waste_fill_level": 0.2,
    "parking_space_occupied": 0.0,
    "cabinet_door_open": 0.0,
}
"""What a data sheet says of the smallest step, with half a step for rounding; in the unit of the catalogue."""
SHARE = {
    "gas_resistance": 0.003,
    "peak_particle_velocity": 0.02,
    "ppv_dominant_frequency": 0.015,
    "acceleration_rms": 0.02,
    "acceleration_peak": 0.02,
}
"""The same as a share of the value: a converter of 10 bits; a filter that is 1 % high at 12 Hz."""
DEBOUNCED_MS = {"parking_space_occupied": 12_000}
"""How much later than the truth a value may change."""


def complaints(
    profile: Mapping[str, Any], around: Surroundings, reports: list[Report], *, began_ms: int
) -> list[str]:
    """Every value that was not there to be measured; `reports` are those of one boot, which `began_ms`."""
    found = []
    clock = around.world.clock
    zero_ms = clock.unix_ms() - clock.now_us() // 1000
    for row in profile["sensors"]:
        sensor = around.sensors[row["name"]]
        wrong = _special(row, sensor, reports, began_ms, zero_ms)
        found += [f"{row['name']}: {words}" for words in wrong]
        for key, rule in row["keys"].items():
            if not _is_special(sensor, key):
                found += list(_steady(around, row, key, rule, reports))
    for row in profile.get("outputs", ()):
        found += [
            f"{row['key']} is {m[row['key']]} at {at}"
            for _, at, m in reports
            if abs((m[row["key"]] or 0) - around.lamps[row["name"]].level_at(at)) > 0.01
        ]
    return found


def reports_of(observed: list[dict[str, Any]], profile: Mapping[str, Any], began_ms: int) -> list[Report]:
    """The profile's reports among all records of a boot: without health, without what was told at once."""
    keys = {key for row in profile["sensors"] for key in row["keys"]}
    at_once = [set(row["at_once"]) for row in profile["sensors"] if "at_once" in row]
    several = len(keys) > 1
    found, before = [], began_ms
    for one in sorted(observed, key=lambda one: one["seq"]):
        m = one["m"]
        if keys & set(m) and one["t"] is not None and not (several and set(m) in at_once):
            found.append((before, one["t"], m))
            before = one["t"]
    return found


def _steady(
    around: Surroundings, row: Mapping[str, Any], key: str, rule: str, reports: list[Report]
) -> Iterator[str]:
    """A value lies between the lowest and the highest truth since the report before it."""
    name = key.partition(":")[0]
    every_ms = int(row["every_s"] * 1000)
    for since, at, m in reports:
        if key not in m:
            continue
        begins = since - every_ms if rule != "last" else at - 2 * every_ms - 6000
        begins = at - DEBOUNCED_MS[name] if name in DEBOUNCED_MS else begins
        low, high = around.world.between(key, begins - 6000, at + 50)
        slack = RESOLUTION[name] if name in RESOLUTION else SHARE[name] * high
        value = m[key]
        if value is None or not low - slack <= value <= high + slack:
            yield f"{key} is {value} at {at}, not {low} to {high}"


def _is_special(sensor: object, key: str) -> bool:
    counted = isinstance(sensor, (PulseMeter, Motion, Door, Radar, LoopDetector))
    return counted or (isinstance(sensor, PzemMeter) and "energy" in key)


def _special(
    row: Mapping[str, Any], sensor: object, reports: list[Report], began_ms: int, zero_ms: int
) -> Iterator[str]:
    if isinstance(sensor, PzemMeter):
        yield from _energy(row, sensor, reports)
    elif isinstance(sensor, PulseMeter):
        yield from _pulses(row, sensor, reports, began_ms)
    elif isinstance(sensor, Motion):
        yield from _summed(row, "motion_count", 1, list(sensor.seen_ms), reports)
    elif isinstance(sensor, Door):
        yield from _door(sensor, reports)
    elif isinstance(sensor, Radar):
        number = row["options"]["lane"]
        yield from _lane(row, sensor.lanes[number], sensor.forgotten(number), reports, zero_ms)
    elif isinstance(sensor, LoopDetector):
        yield from _lane(row, sensor.lane, 0, reports, zero_ms)


def _energy(row: Mapping[str, Any], meter: PzemMeter, reports: list[Report]) -> Iterator[str]:
    """A counter that grows by what flowed in between."""
    key = next(key for key in row["keys"] if "energy" in key)
    power = next(key for key in row["keys"] if "active_power" in key)
    watts = 1000 if "grid" in power else 1
    told = [(at, m[key] or 0, m[power] or 0) for _, at, m in reports if key in m]
    for (before, kwh, _), (at, later, mean) in pairwise(told):
        flowed = mean * watts * (at - before) / 3.6e9
        if abs(later - kwh - flowed) > 0.0025:
            yield f"{key} grew by {later - kwh} kWh at {at}, not by {flowed}"
    if abs(told[-1][1] * 1000 - meter.energy_wh) > 20:
        yield f"{key} is {told[-1][1]}, the meter shows {meter.energy_wh} Wh"


def _pulses(row: Mapping[str, Any], meter: PulseMeter, reports: list[Report], began_ms: int) -> Iterator[str]:
    options, pulses = row["options"], list(meter.at_ms)
    unit = options.get("pulses_per_unit", 1)
    if "amount" in options:
        yield from _summed(row, options["amount"], 1 / unit, pulses, reports)
    for since, at, m in reports:
        if options.get("total") in m:
            counted = (m[options["total"]] or 0) * unit
            most = sum(1 for one in pulses if one <= at)
            if not most - 110 <= counted <= most:
                yield f"{counted} pulses of {most} at {at}"
        rates = options.get("rate", ())
        for name in (rates,) if isinstance(rates, str) else rates:
            per_hz = options.get("per_hz", 3600 / unit)
            begins = max(since - row["every_s"] * 1000, began_ms)
            counted = sum(1 for one in pulses if begins < one <= at)
            expected = counted * 1000 / (at - begins) * per_hz
            step = 2.2 * per_hz * 1000 / (at - since) + 0.03 * expected
            if abs((m[name] or 0) - expected) > step:
                yield f"{name} is {m[name]} at {at}, not {expected}"


def _summed(
    row: Mapping[str, Any], key: str, share: float, events: list[int], reports: list[Report]
) -> Iterator[str]:
    """All that was told so far is all that happened, but for what came since the last reading."""
    total, late = 0.0, int(row["every_s"] * 1000) + 1500
    for _, at, m in reports:
        total += m.get(key) or 0
        least = sum(1 for one in events if one <= at - late)
        most = sum(1 for one in events if one <= at)
        if not least - 0.01 <= total / share <= most + 0.01:
            yield f"{total / share} of {least} to {most} {key} were told until {at}"


def _door(door: Door, reports: list[Report]) -> Iterator[str]:
    """Open if it was open at any time since the last report, however short."""
    for since, at, m in reports:
        value = m["cabinet_door_open"]
        surely = any(opened < at - 2500 and closed > since for opened, closed in door.opened_ms)
        perhaps = any(opened <= at and closed > since - 2500 for opened, closed in door.opened_ms)
        if not int(surely) <= (value or 0) <= int(perhaps):
            yield f"the door is {value} at {at}: {list(door.opened_ms)}"


def _lane(
    row: Mapping[str, Any], lane: Lane, first: int, reports: list[Report], zero_ms: int
) -> Iterator[str]:
    """Each vehicle is counted once, in the order in which they came, and the mean speed is theirs."""
    count, speed, share = (
        next((key for key in row["keys"] if key.startswith(name)), "")
        for name in ("vehicle_count", "vehicle_speed_mean", "lane_occupancy")
    )
    vehicles = list(lane.vehicles)[first:]
    place = 0
    for since, at, m in reports:
        if count not in m:
            continue
        told = int(m[count] or 0)
        seen, place = vehicles[place : place + told], place + told
        if len(seen) != told:
            yield f"{told} vehicles at {at}, where only {len(seen)} were left"
        if speed and seen:
            mean = sum(one.speed_kmh for one in seen) / told
            if abs((m[speed] or 0) - mean) > 0.06:
                yield f"{speed} is {m[speed]} at {at}, not {mean}"
        if speed and not seen and m[speed] is not None:
            yield f"{speed} is {m[speed]} at {at}, without a vehicle"
        occupied = sum(one.occupied_us for one in seen) / 1000
        if abs((m[share] or 0) / 100 * (at - since) - occupied) > 1200 + 0.03 * occupied:
            yield f"{share} is {m[share]} at {at}, not {occupied} ms of {at - since}"
    late_ms = row["every_s"] * 1000 + 1500
    least = sum(1 for one in vehicles if zero_ms + one.at_us / 1000 <= reports[-1][1] - late_ms)
    if place < least:
        yield f"{place} vehicles were told of at least {least}"
