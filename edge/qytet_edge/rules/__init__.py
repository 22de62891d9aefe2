"""Rules: what the gateway does by itself, with no city in reach, when a reading crosses a limit.

`RuleConfig` is a `[[rule]]` table, `Engine` judges readings (pure, on given times), `Rules` moves the outputs.
"""

from qytet_edge.rules.config import Condition, RuleConfig, Schedule, Then
from qytet_edge.rules.engine import Engine, Firing
from qytet_edge.rules.run import Rules

__all__ = ["Condition", "Engine", "Firing", "RuleConfig", "Rules", "Schedule", "Then"]
