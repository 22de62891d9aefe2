"""The account of a replay: what was read, what was left out and why, what was sent, what is stored."""

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from rich.console import Console
from rich.table import Table

__all__ = ["Read", "Sent", "as_dict", "show"]


@dataclass
class Read:
    """What the files held. `cells` = `valid` + the sum of `missing`."""

    rows: int = 0
    cells: int = 0
    valid: int = 0
    missing: Counter[str] = field(default_factory=Counter)
    ambiguous_stamps: int = 0
    records: int = 0
    repeated_values: int = 0
    """Values at an instant for which the same datastream already had one: the platform keeps the first."""
    repeated_records: int = 0
    """Records that hold such values: each is refused as a collision and becomes a dead letter."""


@dataclass
class Sent:
    """What became of the records within the window; `stored` counts those that a mark covers."""

    in_window: int = 0
    stored_before: int = 0
    sent: int = 0
    resent: int = 0
    stored: int = 0
    not_confirmed: int = 0
    values: int = 0
    repeated_records: int = 0
    resumable: bool = False
    seconds: float = 0.0
    interrupted: bool = False


def as_dict(name: str, read: Read, sent: Sent) -> dict[str, Any]:
    """The account as plain data, for --json."""
    return {
        "mapping": name,
        "rows": read.rows,
        "values_read": read.cells,
        "values_valid": read.valid,
        "values_missing": dict(sorted(read.missing.items())),
        "values_repeated": read.repeated_values,
        "ambiguous_stamps": read.ambiguous_stamps,
        "records": read.records,
        "records_in_window": sent.in_window,
        "records_stored_before": sent.stored_before,
        "records_sent": sent.sent,
        "records_resent": sent.resent,
        "records_stored": sent.stored,
        "records_not_confirmed": sent.not_confirmed,
        "records_repeated": sent.repeated_records,
        "values_sent": sent.values,
        "seconds": round(sent.seconds, 3),
        "interrupted": sent.interrupted,
    }


def show(console: Console, title: str, read: Read, sent: Sent) -> None:
    """The account as a person reads it."""
    console.print(f"[bold]{title}[/]")
    table = Table(show_header=False, box=None, pad_edge=False)
    table.add_column()
    table.add_column(justify="right")
    for name, count in _lines(read, sent):
        table.add_row(name, f"{count:,}")
    console.print(table)
    if sent.repeated_records:
        console.print(
            f"{sent.repeated_records} records repeat an instant of their device: the platform keeps the first "
            "value and holds the later one as a dead letter with the reason collision."
        )
    if sent.not_confirmed:
        console.print(f"[bold red]{sent.not_confirmed:,} records are not confirmed as stored.[/]")
    if sent.not_confirmed and sent.resumable:
        console.print("The same command goes on from here; what arrives twice is recognised and stored once.")


def _lines(read: Read, sent: Sent) -> list[tuple[str, int]]:
    missing = [(f"  missing: {reason}", count) for reason, count in sorted(read.missing.items())]
    optional = [
        ("stamps in a repeated hour", read.ambiguous_stamps),
        ("records stored by an earlier run", sent.stored_before),
    ]
    return [
        ("rows read", read.rows),
        ("values read", read.cells),
        ("  valid", read.valid),
        *missing,
        ("records", read.records),
        *((name, count) for name, count in optional if count),
        ("records sent", sent.sent),
        ("records marked stored", sent.stored),
        ("records sent again", sent.resent),
        ("records not confirmed", sent.not_confirmed),
    ]
