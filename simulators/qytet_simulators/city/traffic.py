"""Vehicles a lane and bin: count, mean speed and occupancy that obey one fundamental diagram.

Below capacity speed falls gently with flow; where demand comes near it, or an incident narrows the road, the lane
queues: less flow at walking pace, high occupancy. Density = flow / speed, occupancy = density x effective length.
"""

import numpy as np

from qytet_simulators.city.arrays import Bools, Columns, Floats
from qytet_simulators.city.clock import HOUR_MS
from qytet_simulators.city.group import Group
from qytet_simulators.city.noise import normal, poisson, smooth, uniform
from qytet_simulators.city.scene import Scene

_LANE_CAPACITY = 1500.0  # vehicle/h of a signalled urban arterial lane (HCM: 1900 x green share 0.8)
_EFFECTIVE_LENGTH_KM = 0.0066  # vehicle 4.6 m + detector 2 m
_JAM_OCCUPANCY = 92.0  # percent
_PEAK_DEMAND = 1220.0  # vehicle/h and lane of an ordinary main road


def traffic_counter(group: Group, scene: Scene) -> Columns:
    """Count, mean speed (NaN when nobody came) and occupancy of each lane over the device's interval."""
    demand = _demand(group, scene)
    blocked = _incident(group, scene)
    columns: Columns = {}
    for lane in range(1, group.channels + 1):
        columns |= _lane(group, scene, lane, demand, blocked)
    return columns


def _demand(group: Group, scene: Scene) -> Floats:
    """Vehicles an hour and lane that want to pass."""
    swing = 1 + 0.10 * smooth(group.key("demand"), scene.t_ms, HOUR_MS // 3)
    wet = 1 - 0.06 * (scene.weather.rain > 0.3)
    return np.maximum(_PEAK_DEMAND * group.trait("demand", 1.0) * scene.street_activity * swing * wet, 4)


def _incident(group: Group, scene: Scene) -> Bools:
    """Whether a crash or double parking narrows the road: about one two-hour slot in forty."""
    slot = scene.t_ms // (2 * HOUR_MS)
    return np.asarray((uniform(group.key("incident"), slot) < 0.025) & (scene.street_activity > 0.35))


def _lane(group: Group, scene: Scene, lane: int, demand: Floats, blocked: Bools) -> Columns:
    t = scene.t_ms
    share = 1.12 - 0.12 * lane if group.channels > 1 else 1.0
    capacity = np.where(blocked, 0.55, 1.0) * _LANE_CAPACITY
    pressure = demand * share / capacity + 0.05 * smooth(group.channel_key("platoon", lane), t, HOUR_MS // 6)
    queued = pressure > 0.97
    flow = np.where(queued, capacity * 0.72, demand * share)
    count = poisson(group.channel_key("arrivals", lane), t, flow * group.interval_ms / HOUR_MS)
    free = group.trait("free_speed", 50.0) * (1 + 0.04 * (lane - 1)) * (1 - 0.08 * (scene.weather.rain > 0.3))
    moving = free * (1 - 0.38 * np.clip(pressure, 0, 1) ** 2)
    scatter = normal(group.channel_key("speed", lane), t) / np.sqrt(np.maximum(count, 1))
    speed = np.maximum(np.where(queued, 11 + 2.5 * scatter, moving + 6 * scatter), 4)
    observed_flow = count * (HOUR_MS / group.interval_ms)
    occupancy = np.clip(100 * _EFFECTIVE_LENGTH_KM * observed_flow / speed, 0.1, _JAM_OCCUPANCY)
    return {
        f"vehicle_count:lane{lane}": count,
        f"vehicle_speed_mean:lane{lane}": np.where(count > 0, speed, np.nan),
        f"lane_occupancy:lane{lane}": np.where(count > 0, occupancy, 0.0),
    }
