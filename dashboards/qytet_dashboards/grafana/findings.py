"""What a comparison found out about one thing in Grafana, and what a push may do about it.

same         nothing to do
create       absent on the server
update       there, as we left it; the files have moved on
edited       changed by somebody else since our push (or never pushed by us): kept unless we are told otherwise
provisioned  managed by files on Grafana's own machine: cannot be pushed
"""

from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from typing import Any, Literal

from qytet_dashboards.grafana.panels import PanelDifference

__all__ = ["Finding", "Kind", "State", "may_write"]

Kind = Literal[
    "folder",
    "dashboard",
    "alert rules",
    "template",
    "contact point",
    "notification policies",
    "team",
    "permissions",
]
State = Literal["same", "create", "update", "edited", "provisioned"]


@dataclass(frozen=True)
class Finding:
    """One thing, its state, how it differs, and the one call that would write it (none where nothing can be done)."""

    kind: Kind
    uid: str
    title: str
    state: State
    differences: tuple[PanelDifference, ...] = ()
    note: str = ""
    write: Callable[[], object] | None = field(default=None, repr=False, compare=False)
    have: dict[str, Any] | None = field(default=None, repr=False, compare=False)

    @property
    def label(self) -> str:
        """As messages name it."""
        return f"{self.kind} {self.uid}"


def may_write(finding: Finding, told: Collection[str], *, force: bool) -> bool:
    """Whether a push writes it: what is edited only if its uid is among those told, or by force."""
    if finding.write is None:
        return False
    return finding.state in {"create", "update"} or (
        finding.state == "edited" and (force or finding.uid in told)
    )
