"""A dashboard's query as it reaches the database: variables by the browser, then macros by the server."""

from collections.abc import Iterable
from dataclasses import dataclass

from tests.dashboards.grafana import interval, macros
from tests.dashboards.grafana.macros import Expanded, TimeRange
from tests.dashboards.grafana.variables import BuiltIn, Variable, interpolate

__all__ = ["Context", "expand"]


@dataclass(frozen=True, slots=True)
class Context:
    """What is chosen on a dashboard, and how wide a panel is."""

    span: TimeRange
    variables: tuple[Variable, ...] = ()
    points: int = 800
    least_interval: str = "1m"
    timescale: bool = False

    @property
    def interval(self) -> tuple[str, int]:
        """`$__interval` and `$__interval_ms` of such a panel."""
        since, till = self.span.milliseconds
        return interval.calculated(till - since, self.points, self.least_interval)

    def built_in(self) -> list[BuiltIn]:
        """Grafana's own variables that a query may use."""
        text, milliseconds = self.interval
        since, till = self.span.milliseconds
        return [
            BuiltIn("__interval", text),
            BuiltIn("__interval_ms", milliseconds),
            BuiltIn("__from", since),
            BuiltIn("__to", till),
        ]


def expand(sql: str, context: Context, extra: Iterable[Variable] = ()) -> Expanded:
    """What the server runs. `extra` are variables of a repeated panel or of the query itself.

    Raises:
        MacroError: the server would refuse the query.
        UnknownFormatError: a variable asks for a format that does not exist.
    """
    text = interpolate(sql, [*context.built_in(), *context.variables, *extra])
    return macros.expand(text, context.span, context.interval[1], timescale=context.timescale)
