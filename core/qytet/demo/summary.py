"""The account at the end of a run: as a file, as JSON, and as people read it."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

__all__ = ["Summary", "show", "write"]

Percentiles = dict[str, float | int | None]


@dataclass(frozen=True, slots=True)
class Summary:
    """All figures of a run; `generated`, `expected`, `stored`, `lost` and `duplicated` count readings (values).

    `expected` is what must be a row each: all that was generated, but for what a scenario makes the server
    refuse (a clock that says next week), what it pushes out of a full device, and what never got a time.

    `late`, `missing` and `resent` count records, `dead_lettered` messages; latencies are in ms.
    """

    ok: bool
    problems: list[str]
    began: str
    run_s: float
    start_s: float
    devices: int
    generated: int
    expected: int
    stored: int
    lost: int
    duplicated: int
    late: int
    dead_lettered: int
    missing: int
    resent: int
    records: int
    records_marked_stored: int
    publish_to_stored_ms: Percentiles
    publish_to_visible_ms: Percentiles
    publish_to_latest_ms: Percentiles
    lost_examples: list[str]
    measured: dict[str, str]


def write(summary: Summary, path: Path) -> None:
    """Write the summary as JSON, in one step."""
    partial = path.with_name(path.name + ".partial")
    partial.write_text(as_json(summary, indent=1) + "\n", encoding="utf-8")
    partial.replace(path)


def as_json(summary: Summary, indent: int | None = None) -> str:
    """The summary as one JSON object."""
    return json.dumps(asdict(summary), ensure_ascii=False, indent=indent)


def show(summary: Summary, console: Console, path: Path) -> None:
    """Print the account."""
    counts = Table(box=None, show_header=False, pad_edge=False)
    counts.add_column(justify="right")
    for name, text in _COUNTS.items():
        counts.add_row(f"{getattr(summary, name):,}", text)
    console.print(counts)
    for name, text in _LATENCIES.items():
        console.print(f"{text}: {_percentiles(getattr(summary, name))}", markup=False, soft_wrap=True)
    for problem in summary.problems:
        console.print(f"[bold red]{problem}[/]")
    for example in summary.lost_examples:
        console.print(f"  lost: {example}", markup=False)
    verdict = (
        "[bold green]Every reading is stored exactly once.[/]" if summary.ok else "[bold red]Not whole.[/]"
    )
    console.print(f"{verdict} {path}", soft_wrap=True)


_COUNTS = {
    "generated": "readings generated",
    "expected": "of them to be stored; a scenario may have others refused",
    "stored": "stored, each exactly once",
    "lost": "lost",
    "duplicated": "duplicated",
    "late": "records late (stored more than a minute after their time)",
    "dead_lettered": "messages dead-lettered",
}
_LATENCIES = {
    "publish_to_stored_ms": "Publish to stored (mark at the device)",
    "publish_to_visible_ms": "Publish to visible in the API (/v1/observations)",
    "publish_to_latest_ms": "Publish to newest value in the API (/v1/latest)",
}


def _percentiles(found: dict[str, Any]) -> str:
    if not found.get("count"):
        return "not measured"
    return f"p50 {found['p50']} ms, p95 {found['p95']} ms, p99 {found['p99']} ms ({found['count']:,} times)"
