"""Carries findings out, one call each, and keeps account of what was written, kept and refused."""

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, field
from typing import Literal

from qytet.ctrl_c import CtrlC
from qytet_dashboards.grafana.errors import GrafanaError
from qytet_dashboards.grafana.findings import Finding, may_write

__all__ = ["Account", "Step", "carry_out"]

Outcome = Literal["written", "would write", "unchanged", "kept", "cannot", "failed", "not tried"]


@dataclass(frozen=True)
class Step:
    """What became of one finding."""

    finding: Finding
    outcome: Outcome
    error: GrafanaError | None = None


@dataclass
class Account:
    """All steps so far. `interrupted`: Ctrl-C came; `stopped`: an error that nothing else would have survived."""

    steps: list[Step] = field(default_factory=list)
    interrupted: bool = False
    stopped: GrafanaError | None = None

    @property
    def complete(self) -> bool:
        """Whether the server holds, or would hold, all that the files hold."""
        bad = {"kept", "cannot", "failed", "not tried"}
        return not self.interrupted and not any(step.outcome in bad for step in self.steps)

    def count(self, outcome: Outcome) -> int:
        """How many steps ended so."""
        return sum(step.outcome == outcome for step in self.steps)


def carry_out(
    findings: Iterable[Finding],
    account: Account,
    *,
    told: Collection[str] = (),
    force: bool = False,
    dry_run: bool = False,
    progress: Callable[[Finding], object] = lambda _: None,
) -> None:
    """Write what may be written. An error that concerns one thing only lets the others go on; Ctrl-C ends it.

    Each write is one call that Grafana does wholly or not at all, so that whatever ends this leaves nothing half.
    """
    for finding in findings:
        if account.interrupted or account.stopped:
            outcome: Outcome = "unchanged" if finding.state == "same" else "not tried"
            account.steps.append(Step(finding, outcome))
            continue
        progress(finding)
        account.steps.append(_one(finding, account, told, force, dry_run))


def _one(finding: Finding, account: Account, told: Collection[str], force: bool, dry_run: bool) -> Step:
    if finding.state == "same":
        return Step(finding, "unchanged")
    if finding.write is None:
        return Step(finding, "cannot")
    if not may_write(finding, told, force=force):
        return Step(finding, "kept")
    if dry_run:
        return Step(finding, "would write")
    with CtrlC() as asked:
        try:
            finding.write()
        except GrafanaError as error:
            account.stopped = error if error.stops else None
            step = Step(finding, "failed", error)
        except KeyboardInterrupt:
            step = Step(finding, "not tried")
        else:
            step = Step(finding, "written")
    account.interrupted = asked.seen
    return step
