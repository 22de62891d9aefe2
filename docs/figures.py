"""Writes what `make bench ARGS="--json FILE"` measured into docs/explanation/performance.md.

Usage: python docs/figures.py FILE
"""

import json
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

PAGE = Path(__file__).parent / "explanation" / "performance.md"
BEGIN, END = "<!-- figures: written by docs/figures.py -->", "<!-- end of figures -->"
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


def filled(page: str, text: str) -> str:
    """The page with the text between its two marks. Raises ValueError if a mark is missing."""
    head, begin, rest = page.partition(BEGIN)
    _old, end, tail = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"The page lacks {BEGIN if not begin else END}")
    return f"{head}{BEGIN}\n\n{text}\n{END}{tail}"


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
    PAGE.write_text(filled(PAGE.read_text(encoding="utf-8"), section(found, measured_at)), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
