"""What a heap of the 64-bit VM would take in a chip of 32 bits, word by word.

The VM's heap is a table of blocks of four words, the ESP32's too: 32 bytes there, 16 here (MicroPython, `py/gc.c`). So
an allocation of pointers and small numbers takes half on the chip, and one of bytecode, text or buffers takes as much
as before. Which is which is seen by looking: a word that is empty, a small number, a short name (a "qstr") or an
address becomes four bytes, any other eight bytes stay eight. Memory that holds no address and no name at all is a
buffer and stays whole, however empty it looks.

Names have tables of their own, for 20, 40, 80 … of them, each twice as large as the one before (`py/qstr.c`). The names
of whatever runs beside the node would make the node's tables look larger, so tables are left out here, names counted,
and `tables` says what so many names take.
"""

import bisect
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Heap", "tables", "weigh"]

_WORD, _BLOCK, _CHIP_BLOCK = 8, 32, 16
_TABLES = tuple(20 << power for power in range(9))
_TABLE_HEAD, _ENTRY = 48, 11
_CHIP_TABLE_HEAD, _CHIP_ENTRY = 24, 7
_NUMBER = 1 << 30
"""Numbers below this are whole numbers on the chip too; larger ones are seldom, and counted with eight bytes."""
_LINE = re.compile(r"^([0-9a-f]{8}): (\S*)$")
_START = re.compile(r"layout; from ([0-9a-f]+):")


@dataclass(frozen=True, slots=True)
class Heap:
    """Bytes in use: in the VM, and as they would be on the chip without the tables of so many `names`."""

    vm: int
    chip: int
    names: int


def weigh(table: str, name: Path) -> Heap:
    """The heap that `vm/heapdump.py` wrote beside `name`; `table` is what it printed."""
    raw = name.with_suffix(".heap").read_bytes()
    first, memory = int.from_bytes(raw[:8], "little"), memoryview(raw)[8:]
    begun = _START.search(table)
    if begun is None:
        raise ValueError("this is no table of a heap")
    offset = int(begun[1], 16) - first
    addresses = _Addresses(name.with_suffix(".maps").read_text())
    vm = chip = names = 0
    for place, blocks in _allocations(table):
        start = offset + place * _BLOCK
        size = blocks * _BLOCK
        vm += size
        words = memory[start : start + size].cast("Q")
        if size > _TABLE_HEAD and words[2] in _TABLES and size == _in_blocks(_TABLE_HEAD + words[2] * _ENTRY):
            names += words[3]
            continue
        chip += -(-_on_chip(words, addresses) // _CHIP_BLOCK) * _CHIP_BLOCK
    return Heap(vm, chip, names)


def tables(names: int) -> int:
    """Bytes of the tables that a chip has for so many names: an address, a hash (2 bytes) and a length each."""
    size = held = 0
    for room in _TABLES:
        if held < names:
            held += room
            size += _CHIP_TABLE_HEAD + room * _CHIP_ENTRY
    return size


def _in_blocks(size: int) -> int:
    return -(-size // _BLOCK) * _BLOCK


def _allocations(table: str) -> Iterator[tuple[int, int]]:
    """(first block, blocks) of each allocation."""
    head, count = -1, 0
    for line in table.splitlines():
        found = _LINE.match(line)
        if not found:
            continue
        for number, mark in enumerate(found[2], int(found[1], 16) // _BLOCK):
            if mark == "=":
                count += 1
                continue
            if count:
                yield head, count
            head, count = number, 0 if mark == "." else 1
    if count:
        yield head, count


class _Addresses:
    """What in the VM's memory is an address: the ranges that the operating system gave it."""

    def __init__(self, maps: str) -> None:
        spans = sorted(
            (int(low, 16), int(high, 16))
            for low, high in (line.split(" ", 1)[0].split("-") for line in maps.splitlines())
        )
        self._lows, self._highs = [low for low, _ in spans], [high for _, high in spans]

    def __contains__(self, word: int) -> bool:
        place = bisect.bisect_right(self._lows, word) - 1
        return place >= 0 and word < self._highs[place]


def _on_chip(words: "memoryview[int]", addresses: _Addresses) -> int:
    """Bytes of one allocation on the chip."""
    size, pointers = 0, 0
    for word in words:
        pointer = word in addresses
        pointers += pointer
        small = word < _NUMBER or word >= (1 << 64) - _NUMBER
        size += 4 if pointer or small else 8
    if pointers:
        return size
    slack = 2 if not any(words[-2:]) else 0  # the VM clears what it gave beyond what was asked for
    return (len(words) - slack) * _WORD
