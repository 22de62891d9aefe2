"""Valid messages to spoil: made to measure, or taken from the golden vectors of the contract."""

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from random import Random
from typing import Any

from qytet.errors import InputError
from qytet_contract import notices, records, topics
from qytet_contract.properties import PROPERTIES

__all__ = ["KINDS", "Golden", "load_vectors", "valid"]

KINDS = (topics.OBS,) * 6 + (topics.HIST,) * 3 + (topics.BIRTH, topics.STATE, topics.LOG, topics.ACK)
"""Kinds in the proportion in which they are spoilt: what carries readings matters most."""
_NAMES = tuple(PROPERTIES)
_T0 = 1_767_225_600_000  # 2026-01-01T00:00Z


@dataclass(frozen=True, slots=True)
class Golden:
    """One golden message of the contract."""

    kind: str
    payload: bytes
    valid: bool


def load_vectors(folder: Path) -> list[Golden]:
    """The golden messages that devices send, from a folder of `KIND.json`. Raises InputError."""
    found = []
    for kind in topics.FROM_DEVICE:
        path = folder / f"{kind}.json"
        try:
            rows = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise InputError(f"The golden messages in {path} cannot be read.", why=str(error)) from error
        found += [
            Golden(kind, payload, row["valid"]) for row in rows if (payload := _payload(row)) is not None
        ]
    return found


def valid(kind: str, dice: Random, number: int) -> dict[str, Any]:
    """A valid payload of this kind; `number` makes it unlike the others."""
    boot = f"{0xF0000000 + number % 64:08x}"
    if kind == topics.OBS:
        return records.obs(boot, number + 1, _T0 + number * 1000, number * 10, "ntp", _values(dice))
    if kind == topics.HIST:
        rows = [
            [number + more + 1, _T0 + (number + more) * 1000, number * 10 + more, "ntp", _values(dice)]
            for more in range(dice.randint(1, 4))
        ]
        return records.hist(boot, 1, rows)
    if kind == topics.BIRTH:
        streams = [[name, PROPERTIES[name][0]] for name in dice.sample(_NAMES, 3)]
        return notices.birth(boot, number + 1, "0.1.0", f"board {number}", streams)
    if kind == topics.STATE:
        return notices.state(boot, "ready")
    if kind == topics.LOG:
        return {"v": 1, "boot": boot, "up": number, "lvl": "warning", "msg": f"line {number}"}
    return {"v": 1, "s": "done", "why": f"because {number}"}


@cache
def _pool() -> tuple[dict[str, float | None], ...]:
    """Sets of values, the same in every run: it is not they that make a message unlike the others."""
    dice = Random("values")
    starts = [dice.randrange(len(_NAMES) - 4) for _ in range(256)]
    return tuple(
        {name: dice.randrange(1000) / 10 for name in _NAMES[first : first + dice.randint(1, 4)]}
        for first in starts
    )


def _values(dice: Random) -> dict[str, float | None]:
    return _pool()[dice.getrandbits(8)]


def _payload(row: dict[str, Any]) -> bytes | None:
    """The bytes of a vector; None for those that are written in parts, which are too long to spoil by hand."""
    if "raw" in row:
        return str(row["raw"]).encode()
    if "hex" in row:
        return bytes.fromhex(row["hex"])
    return None
