"""The clock: whether the time is known, how, and when it was set; see `Clock`."""

from qytet_edge.clock.clock import Clock, ClockState, Step
from qytet_edge.clock.config import ClockConfig

__all__ = ["Clock", "ClockConfig", "ClockState", "Step"]
