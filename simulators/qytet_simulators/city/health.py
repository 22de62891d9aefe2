"""How a device itself fares: radio signal and the temperature of its board."""

import numpy as np

from qytet_simulators.city.arrays import Columns
from qytet_simulators.city.clock import HOUR_MS
from qytet_simulators.city.group import Group
from qytet_simulators.city.noise import normal, smooth, uniform
from qytet_simulators.city.scene import Scene


def health(group: Group, scene: Scene) -> Columns:
    """Signal strength (dBm) that fades with the hours, board temperature above the air's and in the sun."""
    t, weather = scene.t_ms, scene.weather
    place = -52 - 26 * uniform(group.key("place"), np.zeros_like(group.interval_ms))
    fading = 2.5 * smooth(group.key("fading"), t, 3 * HOUR_MS) + 1.5 * normal(group.key("radio"), t)
    sun_load = 9 * weather.irradiance / 900
    warm = weather.temperature + 4.5 + sun_load + 0.15 * normal(group.key("board"), t)
    return {"rssi": np.clip(place + fading - 0.4 * weather.rain, -120, -31), "board_temperature": warm}
