"""Writes the table of rules into docs/how-to/alerts.md and alarmet.md; `--check` only compares.

Usage: python docs/alerts_page.py [--check]
"""

import sys
from pathlib import Path

from qytet_dashboards.alerts.page import filled
from qytet_dashboards.alerts.rule import PAGES

FOLDER = Path(__file__).parent / "how-to"


def main() -> int:
    """Write the tables, or with --check say which page drifted (exit code 1)."""
    drifted = []
    for language, name in PAGES.items():
        page = FOLDER / name
        old = page.read_text(encoding="utf-8")
        new = filled(old, language)
        if new != old:
            drifted.append(name)
            if "--check" not in sys.argv[1:]:
                page.write_text(new, encoding="utf-8")
    if drifted and "--check" in sys.argv[1:]:
        sys.stderr.write(f"{', '.join(drifted)}: run `python docs/alerts_page.py` and commit the result\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
