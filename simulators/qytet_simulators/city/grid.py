"""The low-voltage grid that lamps and cabinets hang on: voltage sags under the evening's load, frequency is Europe's.

EN 50160 allows 230 V +/- 10 %; in the Continental Europe synchronous area frequency strays by about 20 mHz.
"""

import numpy as np

from qytet_simulators.city.arrays import Floats
from qytet_simulators.city.clock import HOUR_MS
from qytet_simulators.city.group import Group
from qytet_simulators.city.noise import key_of, normal, smooth, uniform
from qytet_simulators.city.scene import Scene

_PHASE_OFFSET_V = (0.0, 0.9, -1.1, 0.4)


def voltage(group: Group, scene: Scene, phase: int) -> Floats:
    """Volts between phase (1 to 3) and neutral at each device."""
    t = scene.t_ms
    city_wide = 2.4 * smooth(key_of(scene.seed, scene.city.slug, "medium voltage"), t, 2 * HOUR_MS)
    evening = 4.0 * np.exp(-0.5 * ((scene.local.hour - 20.0) / 1.8) ** 2)
    feeder = 3.0 * uniform(group.key("feeder"), np.zeros_like(group.interval_ms)) - 1.5
    flicker = 0.35 * normal(group.key(f"voltage:{phase}"), t)
    return 233.0 + city_wide - evening + feeder + _PHASE_OFFSET_V[phase] + flicker


def frequency(group: Group, scene: Scene) -> Floats:
    """Hertz, the same path in every city."""
    t = scene.t_ms
    path = 0.018 * smooth(key_of(scene.seed, "synchronous area"), t, 200_000)
    return 50 + path + 0.002 * normal(group.key("frequency"), t)
