"""The generated part of docs/how-to/node-failures.md: every failure of `qytet_bench/failures.toml`."""

from itertools import groupby

from qytet_bench.failures import Failure, error_numbers, failures

__all__ = ["page"]


def page() -> str:
    """A section for each failure, by group, then the error numbers."""
    parts = []
    for group, rows in groupby(failures(), key=lambda row: row.group):
        parts.append(f"\n## {group}\n")
        parts += [_section(row) for row in rows]
    numbers = sorted(error_numbers().values(), key=lambda row: (row.number < 0, row.number))
    parts.append("\n## Error numbers\n\nAn ESP32 counts as newlib and lwIP do, not as Linux does.\n\n")
    parts.append("| number | name | meaning |\n|---|---|---|\n")
    parts += [f"| {row.number} | `{row.name}` | {row.means} |\n" for row in numbers]
    return "".join(parts)


def _section(row: Failure) -> str:
    lines = "\n".join(row.see)
    return f"\n### {row.title}\n\n```text\n{lines}\n```\n\n{row.why}\n\n**Do:** {row.do}\n"
