"""Replays real recordings through the platform's own path: mapped, converted, dated and delivered as a device would.

mapping.py   what a mapping file may say          units.py     UCUM unit to UCUM unit, exact
sources.py   rows out of CSV and Parquet          stamps.py    local stamps to instants
readings.py  rows to readings, missing explained  staging.py   readings to numbered records, on disk
recording.py identities that never change          state.py     where an interrupted run goes on
run.py       delivery until it is stored          commands.py  `qytet replay`
"""

from qytet_simulators.replay.expect import Expected, expected, repeated
from qytet_simulators.replay.mapping import Mapping, built_in, load

__all__ = ["Expected", "Mapping", "built_in", "expected", "load", "repeated"]
