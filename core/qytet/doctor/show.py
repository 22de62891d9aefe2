"""How findings are shown: a list by group for people, one JSON object for programs."""

import json
from collections import Counter
from itertools import groupby

import typer
from rich.console import Console
from rich.markup import escape

from qytet.doctor.finding import Finding, State, worst

__all__ = ["show"]

_MARKS = {
    State.OK: "[green]ok[/]     ",
    State.WARNING: "[yellow]warning[/]",
    State.PROBLEM: "[bold red]problem[/]",
}


def show(findings: list[Finding], *, as_json: bool) -> None:
    """Print the findings on standard output; raise typer.Exit(1) if there is a problem."""
    state = worst(findings)
    if as_json:
        document = {"state": str(state), "findings": [finding.as_json() for finding in findings]}
        typer.echo(json.dumps(document, ensure_ascii=False, indent=2))
    else:
        _print(findings)
    if state is State.PROBLEM:
        raise typer.Exit(1)


def _print(findings: list[Finding]) -> None:
    console = Console(highlight=False, soft_wrap=True)
    for group, members in groupby(findings, key=lambda finding: finding.group):
        console.print(f"[bold]{escape(group)}[/]")
        for finding in members:
            console.print(f"  {_MARKS[finding.state]}  {escape(finding.name)}: {escape(finding.what)}")
            if finding.do:
                console.print(f"             {escape('Do: ' + finding.do)}")
    counts = Counter(finding.state for finding in findings)
    console.print(
        ", ".join(f"{counts[state]} {state}" for state in State if counts[state]) or "nothing checked"
    )
