"""What goes wrong between a measurement and the broker, by scenario file: seeded, repeatable, described as actions.

    stream = FaultStream(load_scenario("bad-day"), start_ms)
    for reading in model.readings(t0, t1):
        for action in stream.push(reading):   # Booted, Hold, SendLive, SendHist, Resend, SendGarbage
            ...
    stream.tick(now_ms)                       # what has fallen due without a new reading
    stream.finish()                           # all that is still held

A record appears first in exactly one ``Hold`` or ``SendLive``: that is when the device has accepted it. A record
once held is sent later by a ``SendLive`` or ``SendHist``; ``Resend`` repeats one that was sent.
"""

from qytet_simulators.faults.actions import (
    Action,
    Booted,
    Hold,
    Record,
    Resend,
    SendGarbage,
    SendHist,
    SendLive,
)
from qytet_simulators.faults.scenario import QUIET, Scenario, ScenarioError, load_scenario, sample_scenarios
from qytet_simulators.faults.stream import FaultStream

__all__ = [
    "QUIET",
    "Action",
    "Booted",
    "FaultStream",
    "Hold",
    "Record",
    "Resend",
    "Scenario",
    "ScenarioError",
    "SendGarbage",
    "SendHist",
    "SendLive",
    "load_scenario",
    "sample_scenarios",
]
