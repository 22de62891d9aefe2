"""Findings and steps for people, and as JSON for programs."""

import json
from collections.abc import Iterable
from typing import Any

from rich.console import Console
from rich.markup import escape

from qytet_dashboards.grafana.errors import plain
from qytet_dashboards.grafana.findings import Finding
from qytet_dashboards.grafana.push import Account, Step

__all__ = ["as_json", "show_account", "show_findings", "step_json"]

_LONGEST = 100  # characters of a value; JSON has all of it
_STYLES = {
    "same": "dim",
    "create": "green",
    "update": "yellow",
    "edited": "bold red",
    "provisioned": "magenta",
    "written": "green",
    "would write": "green",
    "unchanged": "dim",
    "kept": "bold red",
    "cannot": "magenta",
    "failed": "bold red",
    "not tried": "red",
}
_SIGNS = {"added": "+", "removed": "-", "changed": "~"}


def as_json(finding: Finding) -> dict[str, Any]:
    """A finding with all its differences; `server` is what Grafana has, `files` what a push would put there."""
    return {
        "kind": finding.kind,
        "uid": finding.uid,
        "title": finding.title,
        "state": finding.state,
        "note": finding.note,
        "differences": [
            {
                "panel": each.panel,
                "how": each.how,
                "changes": [{"path": c.path, "server": c.have, "files": c.want} for c in each.changes],
            }
            for each in finding.differences
        ],
    }


def step_json(step: Step) -> dict[str, Any]:
    """What became of a finding."""
    error = step.error and {"error": step.error.what, "why": step.error.why, "do": step.error.do}
    head = {key: value for key, value in as_json(step.finding).items() if key != "differences"}
    return {**head, "outcome": step.outcome, "error": error}


def show_findings(console: Console, findings: Iterable[Finding]) -> None:
    """What differs, with every field; a line for what does not."""
    for finding in findings:
        _line(console, finding.state, finding)
        for each in finding.differences:
            console.print(f"    {_SIGNS[each.how]} {escape(plain(each.panel))}")
            for change in each.changes:
                console.print(f"        {escape(plain(change.path))}")
                console.print(f"          [red]- {_value(change.have)}[/]")
                console.print(f"          [green]+ {_value(change.want)}[/]")


def show_account(console: Console, account: Account) -> None:
    """What was done, and why the rest was not."""
    for step in account.steps:
        if step.outcome != "unchanged" or step.finding.note:
            _line(console, step.outcome, step.finding)
        if step.error is not None:
            for part in (step.error.what, step.error.why, step.error.do):
                console.print(f"        {escape(part)}")
    counts = {outcome: account.count(outcome) for outcome in dict.fromkeys(s.outcome for s in account.steps)}
    console.print(", ".join(f"{count} {outcome}" for outcome, count in counts.items()) or "nothing to do")
    if account.interrupted:
        console.print("Interrupted. Nothing is half done; run this again to go on.")
    if account.count("kept"):
        console.print(
            "Kept is what somebody saved since our push. See it by `qytet dashboards diff`, take it over by\n"
            "`qytet dashboards pull-check --write FOLDER`, or give it up by --overwrite-edited UID."
        )


def _line(console: Console, word: str, finding: Finding) -> None:
    note = f" ({escape(finding.note)})" if finding.note else ""
    title = "" if finding.title in finding.uid else f"  {escape(plain(finding.title))}"
    console.print(f"[{_STYLES[word]}]{word:<12}[/]{finding.kind} {escape(finding.uid)}{title}{note}")


def _value(value: object) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    shown = plain(text)
    return escape(shown if len(shown) <= _LONGEST else f"{shown[:_LONGEST]}… ({len(shown)} characters)")
