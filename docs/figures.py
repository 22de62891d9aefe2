"""Writes what `make bench` or `make bench-dashboards`, with ARGS="--json FILE", measured into performance.md.

Usage: python docs/figures.py FILE
"""

import json
import sys
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Any

PAGE = Path(__file__).parent / "explanation" / "performance.md"
BEGIN, END = "<!-- figures: written by docs/figures.py -->", "<!-- end of figures -->"
BEGIN_BOARDS, END_BOARDS = "<!-- dashboards: written by docs/figures.py -->", "<!-- end of dashboards -->"
SLOWEST = 10
_TITLES = {"small": "On an empty table", "large": "On a table that holds {rows:.0f} million rows"}


def section(found: dict[str, Any], measured_at: datetime) -> str:
    """The figures of one run as Markdown."""
    parts = [f"Measured on {measured_at:%Y-%m-%d}.\n"]
    for size, title in _TITLES.items():
        if size in found:
            parts.append(_table(title.format(rows=found["rows_before"] / 1e6), found[size]))
    wait = ", ".join(f"{name} {value:.0f} ms" for name, value in found["latency_ms"].items())
    parts.append(f"From publish to commit at a tenth of the load: {wait}.\n")
    return "\n".join(parts)


def boards(found: dict[str, Any], measured_at: datetime) -> str:
    """The times of the dashboards' queries of one run as Markdown."""
    panels = sorted(found["panels"], key=lambda one: -one["p95_ms"])
    high = [one["p95_ms"] for one in panels]
    measured = (
        f"Measured on {measured_at:%Y-%m-%d}: {len(panels)} queries over {found['days']} days and "
        f"{found['readings'] / 1e6:.1f} million readings. Of a query's p95 the median is {median(high):.0f} ms, the "
        f"highest {high[0]:.0f} ms. The slowest:\n"
    )
    lines = [
        measured,
        "| panel | p50, ms | p95, ms | rows |",
        "|---|---|---|---|",
    ]
    lines += [
        f"| {one['panel']} | {one['p50_ms']:.0f} | {one['p95_ms']:.0f} | {one['rows']:,} |"
        for one in panels[:SLOWEST]
    ]
    return "\n".join(lines) + "\n"


def filled(page: str, text: str, begin: str = BEGIN, end: str = END) -> str:
    """The page with the text between its two marks. Raises ValueError if a mark is missing."""
    head, begun, rest = page.partition(begin)
    _old, ended, tail = rest.partition(end)
    if not begun or not ended:
        raise ValueError(f"The page lacks {begin if not begun else end}")
    return f"{head}{begin}\n\n{text}\n{end}{tail}"


def _table(title: str, measured: dict[str, Any]) -> str:
    lines = [
        f"**{title}** (COPY alone: {measured['copy_readings_per_s']:,.0f} readings/s):\n",
        "| readings a message | readings/s | of COPY | worker, us a reading | worker, MB |",
        "|---|---|---|---|---|",
    ]
    for per_message, one in measured["end_to_end"].items():
        lines.append(
            f"| {per_message} | {one['readings_per_s']:,.0f} | {one['ratio']:.2f} "
            f"| {one['worker_cpu_us']:.1f} | {one['worker_memory_mb']:.0f} |"
        )
    return "\n".join(lines) + "\n"


def main() -> int:
    """Write the section; exit code 2 if called wrongly."""
    if len(sys.argv) != 2:
        sys.stderr.write(f"{__doc__}\n")
        return 2
    file = Path(sys.argv[1])
    found = json.loads(file.read_text(encoding="utf-8"))
    measured_at = datetime.fromtimestamp(file.stat().st_mtime, UTC)
    page = PAGE.read_text(encoding="utf-8")
    if "panels" in found:
        page = filled(page, boards(found, measured_at), BEGIN_BOARDS, END_BOARDS)
    else:
        page = filled(page, section(found, measured_at))
    PAGE.write_text(page, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
