"""When people drive, draw water and light their stoves: profiles of the local day, by kind of day.

Shapes follow the usual counts of a southern European city: two traffic peaks on working days (about 08 and 17),
one late-morning and one evening swell on Sundays; water peaks at 07:30 and 20:00, least between 02 and 04.
"""

import numpy as np

from qytet_simulators.city.arrays import Floats
from qytet_simulators.city.clock import LocalTime

_MINUTES = np.arange(1441) / 60


def _swell(centre_h: float, width_h: float, height: float) -> Floats:
    """A bump of the day that wraps around midnight."""
    away = (_MINUTES - centre_h + 12) % 24 - 12
    swell: Floats = height * np.exp(-0.5 * (away / width_h) ** 2)
    return swell


def _table(base: float, *swells: tuple[float, float, float], top: float | None = None) -> Floats:
    """A profile in steps of a minute; scaled to a peak of ``top``, or to a mean of 1."""
    shape = base + sum((_swell(*swell) for swell in swells), np.zeros_like(_MINUTES))
    table: Floats = shape * (top / shape.max() if top else 1 / shape[:-1].mean())
    return table


_TRAFFIC = np.stack(
    [
        _table(0.05, (8.0, 0.9, 0.85), (17.3, 1.4, 0.8), (12.8, 2.8, 0.55), (20.5, 1.6, 0.35), top=1.0),
        _table(0.06, (9.5, 1.6, 0.45), (12.5, 2.4, 0.6), (19.5, 2.2, 0.55), top=0.78),
        _table(0.06, (11.5, 2.3, 0.55), (19.5, 2.4, 0.6), top=0.62),
    ]
)
_WATER = np.stack(
    [
        _table(0.22, (7.4, 1.1, 1.3), (13.0, 2.5, 0.75), (20.0, 1.8, 1.15)),
        _table(0.22, (9.0, 1.5, 1.25), (13.5, 2.5, 0.9), (20.3, 1.8, 1.05)),
        _table(0.22, (9.6, 1.6, 1.3), (13.5, 2.4, 0.95), (20.3, 1.8, 1.0)),
    ]
)
_STOVES = _table(0.12, (19.8, 2.2, 1.0), (7.2, 1.3, 0.45), top=1.0)


def traffic(local: LocalTime) -> Floats:
    """Demand as a share of the working day's peak."""
    return _look_up(_TRAFFIC, local)


def water(local: LocalTime) -> Floats:
    """Demand as a multiple of the day's mean."""
    return _look_up(_WATER, local)


def stoves(local: LocalTime) -> Floats:
    """How many stoves burn, as a share of a cold evening's most."""
    minute = local.hour * 60
    index = minute.astype(np.int64)
    start = _STOVES[index]
    burning: Floats = start + (_STOVES[index + 1] - start) * (minute - index)
    return burning


def _look_up(tables: Floats, local: LocalTime) -> Floats:
    minute = local.hour * 60
    index = minute.astype(np.int64)
    kind = np.where(local.resting, 2, np.where(local.saturday, 1, 0))
    start = tables[kind, index]
    value: Floats = start + (tables[kind, index + 1] - start) * (minute - index)
    return value
