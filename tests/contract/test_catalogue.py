"""The catalogue of properties: what was generated from it, and what it may never say."""

import csv
import re
import subprocess
import sys
from pathlib import Path

import pytest

from qytet.catalogue import properties
from qytet_contract.properties import PROPERTIES

CONTRACT = Path(__file__).resolve().parents[2] / "contract"
CATALOGUE = (CONTRACT / "qytet_contract" / "catalogue.csv").read_text(encoding="utf-8")
ROWS = list(csv.DictReader(CATALOGUE.splitlines()))
EACH = pytest.mark.parametrize("row", ROWS, ids=[row["property"] for row in ROWS])

# UCUM codes that people write and that do not exist (or mean something else: m[g] is a milligram to some readers).
NOT_UCUM = {
    "ppb",
    "ppm",
    "VA",
    "var",
    "kvar",
    "kVAr",
    "dBm",
    "dB(A)",
    "dB[A]",
    "°C",
    "C",
    "NTU",
    "pH",
    "m[g]",
    "µg/m³",
}


def test_properties_py_equals_the_catalogue():
    """The table that nodes carry is what contract/generate.py writes from catalogue.csv."""
    done = subprocess.run(
        [sys.executable, CONTRACT / "generate.py", "--check"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_the_generator_notices_drift(tmp_path):
    """`generate.py --check` fails when the table and the catalogue differ."""
    package = tmp_path / "qytet_contract"
    package.mkdir()
    for name in ("catalogue.csv", "properties.py"):
        text = (CONTRACT / "qytet_contract" / name).read_text(encoding="utf-8")
        (package / name).write_text(
            text.replace("ug/m3", "mg/m3") if name == "catalogue.csv" else text, "utf-8"
        )
    (tmp_path / "generate.py").write_text((CONTRACT / "generate.py").read_text(encoding="utf-8"), "utf-8")
    done = subprocess.run(
        [sys.executable, tmp_path / "generate.py", "--check"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert "make generate" in done.stderr


def test_names_are_unique():
    """A property is described once, and all three tables know the same ones."""
    names = [row["property"] for row in ROWS]
    assert len(set(names)) == len(names)
    assert list(properties()) == names == list(PROPERTIES)


@EACH
def test_names_are_snake_case(row):
    """A property's name is lower-case words and digits joined by single underscores."""
    assert re.fullmatch(r"[a-z][a-z0-9]*(_[a-z0-9]+)*", row["property"])


@EACH
def test_units_are_ucum(row):
    """A unit is ASCII, has no blank, balances its brackets, and is none of the codes that UCUM lacks."""
    unit = row["ucum"]
    assert unit.isascii()
    assert re.fullmatch(r"[^\s()]+", unit)
    assert unit not in NOT_UCUM
    assert not NOT_UCUM & set(re.split(r"[/.]", unit))
    for opening, closing in ("[]", "{}"):
        assert unit.count(opening) == unit.count(closing)


@EACH
def test_what_is_plausible_is_possible(row):
    """The suspect range lies within the fail range, and neither is empty."""
    known = properties()[row["property"]]
    assert known.fail_min <= known.suspect_min < known.suspect_max <= known.fail_max


@EACH
def test_the_node_and_the_server_see_the_same_row(row):
    """Unit, ranges and aggregation are the same in the node's table and in the server's catalogue."""
    known = properties()[row["property"]]
    node = (known.ucum, known.fail_min, known.fail_max, known.suspect_min, known.suspect_max, known.agg)
    assert PROPERTIES[row["property"]] == node


@EACH
def test_rows_are_whole(row):
    """Domain, aggregation, sampling and the core mark are filled in."""
    assert row["core"] in ("Y", "N")
    assert row["domain"]
    assert row["agg"]
    assert row["sampling"]
