"""The golden messages: one verdict, one code, under CPython and under MicroPython."""

import json
from pathlib import Path

import pytest

from qytet_contract import codes, topics
from tests.contract import verdict
from tests.servers.micropython import MicroPython

ROOT = Path(__file__).resolve().parents[2]
FILES = sorted((ROOT / "contract" / "vectors").glob("*.json"))
VECTORS = [(file, vector) for file in FILES for vector in json.loads(file.read_text(encoding="utf-8"))]
EACH = pytest.mark.parametrize(
    ("file", "vector"), VECTORS, ids=[f"{file.stem}: {vector['name']}" for file, vector in VECTORS]
)
PROGRAM = ROOT / "tests" / "contract" / "verdict.py"

FIELDS = {
    "obs": ("v", "boot", "seq", "t", "up", "tq", "m"),
    "hist": ("v", "boot", "lo", "r"),
    "birth": ("boot", "lo", "fw", "board", "ds"),
    "state": ("s",),
    "stored": ("v", "seq"),
    "cmd": ("cmd", "exp", "args"),
    "ack": ("s", "why"),
    "log": ("up", "lvl", "msg"),
}


def expected(vector):
    return [
        vector["valid"],
        vector.get("error"),
        vector.get("rows_wrong", []),
        True if "decoded" in vector else None,
    ]


@pytest.fixture(scope="session")
def micropython_verdicts(micropython: MicroPython):
    done = micropython.run(PROGRAM, *map(str, FILES), path=[ROOT / "contract"], heap="8M")
    assert done.returncode == 0, done.stderr.decode()
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    return {(file, name): found for file, name, found in rows}


@EACH
def test_cpython_agrees_with_the_vector(file, vector):
    """The contract accepts, decodes or refuses the message as the vector says, with the same code."""
    assert verdict.verdict(vector) == expected(vector)


@EACH
def test_micropython_agrees_with_the_vector(file, vector, micropython_verdicts):
    """The unchanged contract gives the same verdict and code in a real MicroPython VM."""
    assert micropython_verdicts[file.name, vector["name"]] == expected(vector)


def test_what_a_node_reads_fits_a_small_heap(micropython):
    """Imports and verdicts on what a node reads fit 96 kB of a VM whose words are twice an ESP32's."""
    files = [str(file) for file in FILES if file.stem in ("stored", "cmd", "topics")]
    done = micropython.run(PROGRAM, *files, path=[ROOT / "contract"], heap="96k")
    assert done.returncode == 0, done.stderr.decode()
    wrong = [row for row in map(json.loads, done.stdout.splitlines()) if row[2][3] is False]
    assert (wrong, len(done.stdout.splitlines()) > 50) == ([], True)


def test_names_are_unique_and_fields_are_known():
    """Each vector is named once in its file and carries nothing that nobody reads."""
    allowed = {"name", "kind", "raw", "hex", "parts", "valid", "error", "rows_wrong", "decoded"}
    for file in FILES:
        found = [vector for where, vector in VECTORS if where == file]
        assert len({vector["name"] for vector in found}) == len(found)
        for vector in found:
            assert set(vector) <= allowed
            assert len({"raw", "hex", "parts"} & set(vector)) == 1
            assert ("error" in vector) is not vector["valid"]


def test_every_refusal_has_a_vector():
    """No refusal that a message can earn by itself is without an example."""
    shown = {vector.get("error") for _, vector in VECTORS}
    shown |= {code for _, vector in VECTORS for _, code in vector.get("rows_wrong", [])}
    assert set(codes.CONTRACT_REFUSALS) <= shown


def test_every_kind_has_a_valid_and_an_invalid_vector():
    """Each message that crosses the broker is shown right and wrong."""
    kinds = (*topics.FROM_DEVICE, topics.STORED, topics.CMD)
    for kind in kinds:
        verdicts = {vector["valid"] for _, vector in VECTORS if vector["kind"] == kind}
        assert verdicts == {True, False}, kind


@pytest.mark.parametrize(
    ("kind", "field"), [(kind, field) for kind, names in FIELDS.items() for field in names]
)
def test_every_field_has_a_wrong_type(kind, field):
    """For each field some vector puts another JSON type in its place and is refused as wrong_type."""
    good = next(
        v["decoded"] for _, v in VECTORS if v["kind"] == kind and v["valid"] and field in v["decoded"]
    )
    for _, vector in VECTORS:
        if vector["kind"] == kind and vector.get("error") == codes.WRONG_TYPE and "raw" in vector:
            value = json.loads(vector["raw"])
            if isinstance(value, dict) and [n for n in good if not same_type(value.get(n), good[n])] == [
                field
            ]:
                return
    pytest.fail(f"no vector of {kind} has a wrong type in {field} alone")


def same_type(one, other):
    return type(one) is type(other)
