"""Water zones, tanks and quality probes, with pressure, leakage and demand that depend on each other.

Zone: flow = demand + leakage; pressure falls with flow^1.85 (Hazen-Williams); background leakage follows FAVAD
(P/P0)^1.1, bursts (P/P0)^0.5, so that leakage is greatest at night, when pressure is highest. Quality probes are
slow and coarse: from one minute to the next most readings do not change at all, as in real works.
"""

import numpy as np

from qytet_simulators.city import waterworks
from qytet_simulators.city.arrays import Bools, Columns, Floats, Millis
from qytet_simulators.city.clock import EPOCH_MS, HOUR_MS
from qytet_simulators.city.group import Group
from qytet_simulators.city.noise import normal, smooth, uniform
from qytet_simulators.city.scene import Scene
from qytet_simulators.city.waterworks import Leak

_PEAK_FACTOR = 1.9  # greatest demand over its mean
_DROP_BAR = 1.2  # from no flow to the greatest


def water_dma(group: Group, scene: Scene, leaks: tuple[Leak, ...]) -> Columns:
    """Inflow, its counter and the pressure of a district metered area."""
    t = scene.t_ms
    flow, pressure = _hydraulics(group, t, leaks, _minute_demand(group, scene))
    return {
        "water_flow_rate": flow,
        "water_volume_total": _volume(group, t, leaks),
        "water_pressure": pressure + 0.015 * normal(group.key("transducer"), t),
    }


def _minute_demand(group: Group, scene: Scene) -> Floats:
    """m3/h drawn at the moment: the habit of the hour, taps opened and closed."""
    t = scene.t_ms
    taps = 0.05 * smooth(group.key("taps"), t, HOUR_MS // 6) + 0.03 * normal(group.key("tap"), t)
    return _habit(group, t) * (1 + taps)


def _habit(group: Group, t_ms: Millis) -> Floats:
    mean = group.trait("demand", 50.0)
    return mean * waterworks.drawn(group.key("households", stem=True), t_ms, group.city.time_zone)


def _hydraulics(group: Group, t_ms: Millis, leaks: tuple[Leak, ...], demand: Floats) -> tuple[Floats, Floats]:
    """Total inflow m3/h and pressure bar."""
    mean, leakage = group.trait("demand", 50.0), group.trait("leakage", 8.0)
    supply = group.trait("pressure", 4.0)
    names = [device.name for device in group.devices]
    burst = waterworks.bursts(group.key("bursts", stem=True), t_ms, mean)
    burst = burst + waterworks.known_leaks(names, leaks, t_ms)
    greatest = _PEAK_FACTOR * mean + leakage
    pressure = supply - _DROP_BAR * ((demand + leakage + burst) / greatest) ** 1.85
    ratio = np.maximum(pressure, 0.2) / supply
    flow = demand + leakage * ratio**1.1 + burst * ratio**0.5
    return flow, np.maximum(supply - _DROP_BAR * (flow / greatest) ** 1.85, 0.1)


def _volume(group: Group, t_ms: Millis, leaks: tuple[Leak, ...]) -> Floats:
    """The meter's counter in m3: the integral of the inflow without the minute's noise, whose mean is nothing."""
    end = waterworks.table_end(t_ms)
    table, like = group.memo(f"volume:{end}", lambda whole: _volume_table(whole, end, leaks))
    start = 20_000 + 400_000 * uniform(group.key("meter"), np.zeros_like(group.interval_ms))
    return np.floor(start) + waterworks.between(table, like[group.rows], t_ms, waterworks.VOLUME_STEP_MS)


def _volume_table(whole: Group, end_ms: int, leaks: tuple[Leak, ...]) -> tuple[Floats, Millis]:
    """Volumes since the epoch, one row for devices that are alike, and the row of each device."""
    group, like = whole.distinct({leak.device for leak in leaks})
    t_ms = waterworks.lattice(end_ms, waterworks.VOLUME_STEP_MS)
    flow, _ = _hydraulics(group, t_ms, leaks, _habit(group, t_ms))
    steps = (flow[:, 1:] + flow[:, :-1]) / 2 * (waterworks.VOLUME_STEP_MS / HOUR_MS)
    return np.concatenate([np.zeros((len(flow), 1)), np.cumsum(steps, axis=1)], axis=1), like


def water_tank(group: Group, scene: Scene) -> Columns:
    """Level, flows and the pump of a service reservoir that cycles between two levels."""
    t = scene.t_ms
    end = waterworks.table_end(t)
    level, running, like = group.memo(f"tank:{end}", lambda whole: _tank_table(whole, end))
    rows = like[group.rows]
    on = running[rows, (t - EPOCH_MS) // waterworks.TANK_STEP_MS]
    inlet = np.where(on, _inflow(group) * (1 + 0.008 * normal(group.key("inlet"), t)), 0.0)
    lift_kw = inlet / 3600 * 9.81 * group.trait("lift", 45.0) / 0.68  # Q rho g H / efficiency
    metres = waterworks.between(level, rows, t, waterworks.TANK_STEP_MS)
    return {
        "water_tank_level": metres + 0.002 * normal(group.key("level"), t),
        "water_flow_rate:inlet": inlet,
        "water_flow_rate:outlet": _minute_demand(group, scene),
        "pump_running": on.astype(np.float64),
        "pump_active_power": np.where(on, lift_kw, 0.0),
    }


def _inflow(group: Group) -> Floats:
    return 2.2 * group.trait("demand", 50.0)


def _tank_table(whole: Group, end_ms: int) -> tuple[Floats, Bools, Millis]:
    """Levels and pump states, one row for devices that are alike, and the row of each device."""
    group, like = whole.distinct()
    demand = _habit(group, waterworks.lattice(end_ms, waterworks.TANK_STEP_MS))
    inflow, area, height = (
        column[:, 0].tolist()
        for column in (_inflow(group), group.trait("area", 200.0), group.trait("height", 5.0))
    )
    runs = [
        waterworks.run_tank(demand[row], inflow[row], area[row], 0.55 * height[row], 0.88 * height[row])
        for row in range(len(group.devices))
    ]
    return np.stack([level for level, _ in runs]), np.stack([state for _, state in runs]), like


def water_quality(group: Group, scene: Scene) -> Columns:
    """Acidity, free chlorine, turbidity, conductivity and temperature in a pipe: slow, with no noise of their own."""
    t = scene.t_ms
    place = 2 * uniform(group.key("source"), np.zeros_like(group.interval_ms)) - 1

    def slow(name: str, hours: int) -> Floats:
        return smooth(group.key(name), t, hours * HOUR_MS)

    ground = 12.5 + 3.0 * scene.weather.season - 0.004 * group.height_m
    chlorine = 0.45 + 0.08 * place + 0.05 * slow("chlorine", 8) - 0.04 * scene.weather.season
    return {
        "water_ph": 7.6 + 0.15 * place + 0.06 * slow("ph", 20),
        "water_free_chlorine": np.maximum(chlorine, 0.05),
        "water_turbidity": 0.22 * np.exp(0.18 * slow("turbidity", 7)),
        "water_conductivity": 430 + 60 * place + 9 * slow("conductivity", 36),
        "water_temperature": ground + 0.5 * slow("temperature", 14),
    }
