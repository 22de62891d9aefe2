"""How findings are shown: a list by group for people, one JSON object for programs."""

import json
from collections import Counter
from itertools import groupby
from textwrap import wrap

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
    width = console.width if console.is_terminal else 0  # a pipe gets whole sentences, for grep
    for group, members in groupby(findings, key=lambda finding: finding.group):
        console.print(f"[bold]{escape(group)}[/]")
        for finding in members:
            what = _hanging(f"{finding.name}: {finding.what}", 11, width)
            console.print(f"  {_MARKS[finding.state]}  {escape(what)}")
            if finding.do:
                console.print(f"             {escape(_hanging(f'Do: {finding.do}', 17, width))}")
    counts = Counter(finding.state for finding in findings)
    console.print(
        ", ".join(f"{counts[state]} {state}" for state in State if counts[state]) or "nothing checked"
    )


def _hanging(text: str, column: int, width: int) -> str:
    """The text with what follows its first line beginning at `column`; `width` 0 leaves its lines as they are."""
    room = max(20, width - column)
    lines = [
        part
        for line in text.splitlines()
        for part in (
            wrap(line.strip(), room, break_long_words=False, break_on_hyphens=False)
            if width
            else [line.strip()]
        )
    ]
    return ("\n" + " " * column).join(lines)
