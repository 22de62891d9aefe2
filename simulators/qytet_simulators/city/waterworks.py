"""What has a memory in the water network: leaks that start and are mended, volumes that add up, tanks that fill.

Each is tabulated from the models' epoch on a fixed lattice, as far as asked for; a longer table begins with the
shorter one, so that no value depends on how far anyone looked.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from qytet_simulators.city import habits
from qytet_simulators.city.arrays import Bools, Floats, Keys, Millis
from qytet_simulators.city.clock import DAY_MS, EPOCH_MS, HOUR_MS, local_time
from qytet_simulators.city.noise import smooth, uniform
from qytet_simulators.city.sun import year_angle

VOLUME_STEP_MS = HOUR_MS // 2
TANK_STEP_MS = HOUR_MS // 6
_MONTH_MS = 30 * DAY_MS
_TABLE_MS = 180 * DAY_MS


@dataclass(frozen=True, slots=True)
class Leak:
    """A burst: ``flow`` m3/h at the zone's night pressure, from start until it is mended (Unix ms)."""

    device: str
    start_ms: int
    end_ms: int
    flow: float


def drawn(key: Keys | np.uint64, t_ms: Millis, zone: str) -> Floats:
    """What people draw, as a multiple of the year's mean, without the minute's noise."""
    hot = 0.08 * -np.cos(year_angle(t_ms) - 0.3)
    return habits.water(local_time(t_ms, zone)) * (1 + hot + 0.05 * smooth(key, t_ms, DAY_MS))


def bursts(key: Keys, t_ms: Millis, mean: Floats) -> Floats:
    """Flow m3/h at night pressure of chance bursts: in one month of six, 5 to 14 days, 6 to 15 % of the mean."""
    month = t_ms // _MONTH_MS
    start = month * _MONTH_MS + uniform(key ^ np.uint64(1), month) * 14 * DAY_MS
    length = (5 + 9 * uniform(key ^ np.uint64(2), month)) * DAY_MS
    size = (0.06 + 0.09 * uniform(key ^ np.uint64(3), month)) * mean
    active = (uniform(key, month) < 1 / 6) & (t_ms >= start) & (t_ms < start + length)
    return np.where(active, size, 0.0)


def known_leaks(names: Sequence[str], leaks: Sequence[Leak], t_ms: Millis) -> Floats:
    """Flow m3/h at night pressure of the leaks that a scenario asked for; one row a name."""
    flow = np.zeros((len(names), t_ms.shape[-1]))
    for leak in leaks:
        if leak.device in names:
            row = names.index(leak.device)
            at = t_ms[row if t_ms.shape[0] > 1 else 0]
            flow[row] += np.where((at >= leak.start_ms) & (at < leak.end_ms), leak.flow, 0.0)
    return flow


def table_end(t_ms: Millis) -> int:
    """How far a table must reach for these instants: a whole number of half-years."""
    return EPOCH_MS + (int(t_ms.max()) - EPOCH_MS) // _TABLE_MS * _TABLE_MS + _TABLE_MS


def lattice(end_ms: int, step_ms: int) -> Millis:
    """The instants of a table, two steps longer than its end, as one row."""
    return np.arange(EPOCH_MS, end_ms + 2 * step_ms + 1, step_ms, dtype=np.int64)[None, :]


def between(table: Floats, rows: Millis, t_ms: Millis, step_ms: int) -> Floats:
    """Linear interpolation in the table's rows at each instant."""
    index = (t_ms - EPOCH_MS) // step_ms
    part = (t_ms - EPOCH_MS - index * step_ms) / step_ms
    start = table[rows, index]
    value: Floats = start + (table[rows, index + 1] - start) * part
    return value


def run_tank(demand: Floats, inflow: float, area: float, low: float, high: float) -> tuple[Floats, Bools]:
    """Levels (m) at each step's start and whether the pump ran: on below ``low``, off above ``high``.

    ``demand`` and ``inflow`` are m3/h, ``area`` m2; the pump decides every ten minutes, as its controller does.
    """
    rise = TANK_STEP_MS / HOUR_MS / area
    level, running = (low + high) / 2, True
    levels: list[float] = []
    states: list[bool] = []
    for drawn_now in demand.tolist():
        running = level < high if running else level < low
        levels.append(level)
        states.append(running)
        level += ((inflow if running else 0.0) - drawn_now) * rise
    return np.array(levels), np.array(states)
