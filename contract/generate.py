"""Writes qytet_contract/properties.py from qytet_contract/catalogue.csv; `--check` only compares.

Usage: python contract/generate.py [--check]
"""

import csv
import sys
from pathlib import Path

PACKAGE = Path(__file__).parent / "qytet_contract"
HEAD = '''"""The observed properties: generated from catalogue.csv by contract/generate.py; do not edit.

A row: UCUM unit, lowest and highest possible value, lowest and highest plausible value, aggregation.
Outside the possible is QARTOD 4 (fail), outside the plausible QARTOD 3 (suspect).
"""

PROPERTIES: "dict[str, tuple[str, float, float, float, float, str]]" = {
'''


def rendered() -> str:
    """The text of properties.py for the catalogue as it stands."""
    with (PACKAGE / "catalogue.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    lines = [
        f'    "{row["property"]}": ("{row["ucum"]}", {row["fail_min"]}, {row["fail_max"]}, '
        f'{row["suspect_min"]}, {row["suspect_max"]}, "{row["agg"]}"),\n'
        for row in rows
    ]
    return HEAD + "".join(lines) + "}\n"


def main() -> int:
    """Write the table, or with --check say whether it drifted (exit code 1)."""
    target, text = PACKAGE / "properties.py", rendered()
    if "--check" not in sys.argv[1:]:
        target.write_text(text, encoding="utf-8")
        return 0
    if target.read_text(encoding="utf-8") == text:
        return 0
    sys.stderr.write(
        "properties.py does not match catalogue.csv: run `make generate` and commit the result\n"
    )
    return 1


if __name__ == "__main__":
    sys.exit(main())
