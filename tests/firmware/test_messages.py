"""The node's own messages, in the VM, held against the contract and its golden messages."""

import json
from typing import Any

import pytest

from qytet_contract import notices
from tests.firmware.device import CONTRACT, run
from tests.servers.micropython import MicroPython

_READ = """
import json
from qytet_node import messages, records
def taken(kind, raw):
    try:
        return records.mark(raw) is not None if kind == "stored" else bool(messages.command(raw))
    except ValueError:
        return False
with open(PATH) as file:
    for line in file:
        kind, raw = json.loads(line)
        print(json.dumps(taken(kind, raw)))
"""


def _golden(kinds: tuple[str, ...]) -> list[dict[str, Any]]:
    rows = []
    for path in sorted((CONTRACT / "vectors").glob("*.json")):
        for line in path.read_text(encoding="utf-8").splitlines():
            line = line.strip().rstrip(",")
            if line.startswith("{"):
                row = json.loads(line)
                if row.get("kind") in kinds and "raw" in row and "\ufffd" not in row["raw"]:
                    rows.append(row)
    return rows


@pytest.mark.parametrize("kind", ["stored", "cmd"])
def test_what_the_contract_allows_is_understood(micropython: MicroPython, tmp_path: Any, kind: str) -> None:
    """Every valid golden message is taken; of the invalid ones none that could do harm."""
    rows = _golden((kind,))
    assert any(row["valid"] for row in rows)
    assert any(not row["valid"] for row in rows)
    path = tmp_path / "golden"
    path.write_text("".join(json.dumps([kind, row["raw"]]) + "\n" for row in rows))
    taken = run(micropython, f"PATH = {str(path)!r}\n{_READ}", heap="2M")
    for row, was in zip(rows, taken, strict=True):
        if row["valid"]:
            assert was, row["name"]
        elif row["error"] not in _HARMLESS:
            assert not was, row["name"]


_HARMLESS = {"duplicate_key", "too_deep", "time_too_early", "time_too_late"}
"""What MicroPython's JSON reader lets through, and times that make a command expired or long valid."""


def test_what_the_node_says_is_valid(micropython: MicroPython) -> None:
    """Birth, state, answer and log pass the contract's checks, whatever texts they carry, and are cut to its length."""
    code = """
from qytet_node import messages, records
odd = 'a "quoted" \\\\ line\\n' + "ë" * 300
print(messages.birth("0badcafe", 7, "0.1.0", "esp32", '[["pm1","ug/m3"]]'))
print(messages.state("0badcafe", "ready"))
print(messages.ack("failed", odd))
print(messages.log("0badcafe", 5, "error", odd))
print(messages.log("0badcafe", 5, "error", ""))
"""
    birth, state, ack, log, empty = run(micropython, code)
    notices.check_birth(birth)
    notices.check_state(state)
    notices.check_ack(ack)
    notices.check_log(log)
    notices.check_log(empty)
    assert birth == notices.birth("0badcafe", 7, "0.1.0", "esp32", [["pm1", "ug/m3"]])
