"""How fast the models make readings on one core: `python -m qytet_simulators.city.bench [hours]`."""

import sys
import time

from qytet_simulators.city.fleet import load_fleet
from qytet_simulators.city.model import CityModel

_START_MS = 1_789_000_000_000  # 2026-09-10
_HOUR_MS = 3_600_000


def bench(hours: float = 6) -> dict[str, float]:
    """Readings a second as arrays (``block``) and as plain Python values (``readings``)."""
    model = CityModel(load_fleet().paced(1 / 12))
    model.block(_START_MS, _START_MS + _HOUR_MS // 60)  # tables are made once
    end = _START_MS + round(hours * _HOUR_MS)
    began = time.perf_counter()
    made = sum(one.t_ms.size * len(one.columns) for one in model.block(_START_MS, end))
    arrays = made / (time.perf_counter() - began)
    began = time.perf_counter()
    made = sum(len(reading.values) for reading in model.readings(_START_MS, end, 600_000))
    return {"arrays": arrays, "plain values": made / (time.perf_counter() - began)}


if __name__ == "__main__":
    for name, rate in bench(*map(float, sys.argv[1:2])).items():
        print(f"{name}: {rate:,.0f} readings/s")
