"""Replays real recordings through the platform's own path: mapped, converted, dated and delivered as a device would.

mapping.py   what a mapping file may say          units.py     UCUM unit to UCUM unit, exact
sources.py   rows out of CSV and Parquet          stamps.py    local stamps to instants
readings.py  rows to readings, missing explained  staging.py   readings to numbered records, on disk
delivery.py  what is sent and not yet stored      link.py      the connection to the broker
run.py       the whole way, with resume           commands.py  `qytet replay`
"""

from qytet_simulators.replay.expect import Expected, expected, repeated
from qytet_simulators.replay.mapping import Mapping, built_in, load

__all__ = ["Expected", "Mapping", "built_in", "expected", "load", "repeated"]
