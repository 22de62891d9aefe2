"""Writes the generated parts of docs/: views, refusals, settings, gateway, nodes, commands; `--check` compares.

Usage: python docs/generate.py [--check]

What stands above the line `<!-- generated -->` of a page is written by hand and stays.
"""

import sys
import tempfile
from pathlib import Path

import commands_page
import edge_page
import failures_page
import node_page
import settings_page

from qytet.db.migrate import connect, migrate
from qytet.embedded import EmbeddedPostgres
from qytet_contract import codes

REFERENCE = Path(__file__).parent / "reference"
MARK = "<!-- generated -->"
COLUMNS = """
select table_name, column_name, data_type from information_schema.columns
where table_schema = 'qytet' order by table_name, ordinal_position
"""


def views() -> str:
    """The columns of all views, read from a migrated database."""
    with tempfile.TemporaryDirectory(prefix="qytet-docs-") as name:
        Path(name).chmod(0o711)  # the server's user has to pass, when we are root
        server = EmbeddedPostgres(Path(name) / "data")
        try:
            with connect(server.start().url) as connection:
                migrate(connection)
                rows = connection.execute(COLUMNS).fetchall()
        finally:
            server.remove()
    lines: list[str] = []
    view = ""
    for table, column, kind in rows:
        if table != view:
            view = table
            lines += ["", f"### `qytet.{view}`", "", "| column | type |", "|---|---|"]
        lines.append(f"| `{column}` | {kind} |")
    return "\n".join(lines) + "\n"


def refusals() -> str:
    """The codes of both lists, and the numbers of time quality."""
    lines = ["", "### Refusals of the contract", "", *(f"- `{code}`" for code in codes.CONTRACT_REFUSALS)]
    lines += ["", "### Refusals of the server", "", *(f"- `{code}`" for code in codes.SERVER_REFUSALS)]
    lines += ["", "### How time is known", "", "| `tq` | stored as |", "|---|---|"]
    lines += [f"| `{name}` | {number} |" for name, number in codes.TIME_QUALITIES.items()]
    lines += [f"| (back-dated by the server) | {codes.TIME_BACKDATED} |"]
    return "\n".join(lines) + "\n"


PAGES = (
    ("database.md", views),
    ("contract.md", refusals),
    ("settings.md", settings_page.page),
    ("gateway.md", edge_page.page),
    ("commands.md", commands_page.page),
    ("node.md", node_page.page),
    ("../how-to/node-failures.md", failures_page.page),
)


def main() -> int:
    """Write the pages, or with --check say which one drifted (exit code 1)."""
    drifted = []
    for name, part in PAGES:
        page = REFERENCE / name
        old = page.read_text(encoding="utf-8")
        new = old.split(MARK)[0] + MARK + "\n" + part()
        if new != old:
            drifted.append(name)
            if "--check" not in sys.argv[1:]:
                page.write_text(new, encoding="utf-8")
    if drifted and "--check" in sys.argv[1:]:
        sys.stderr.write(f"{', '.join(drifted)}: run `python docs/generate.py` and commit the result\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
