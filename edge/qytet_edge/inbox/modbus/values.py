"""From registers to numbers: byte orders, types, sentinels, scales and units. Pure: registers in, values out."""

import math
import struct
from collections.abc import Sequence
from typing import NamedTuple

from qytet_edge.inbox.current_loop import Loop
from qytet_edge.inbox.modbus.maps import MapField, Order
from qytet_edge.inbox.units import Conversion, tidy

__all__ = ["Item", "Value", "decoded", "encoded", "raw"]

_FORMATS = {
    "u16": ">H",
    "i16": ">h",
    "u32": ">I",
    "i32": ">i",
    "u64": ">Q",
    "i64": ">q",
    "f32": ">f",
    "f64": ">d",
}
_DIGITS_F32 = 7  # what single precision carries
_DIGITS = 15
Value = float | int | None


class Item(NamedTuple):
    """A field that is wanted, with everything needed to turn its registers into a value of the catalogue."""

    key: str
    field: MapField
    order: Order
    conversion: Conversion
    loop: Loop | None = None


def raw(registers: Sequence[int], type_: str, order: Order) -> float | int:
    """The number as the instrument keeps it. `registers` are as many as the type fills."""
    words = [register.to_bytes(2, "big") for register in registers]
    if order in ("CDAB", "DCBA"):
        words.reverse()
    if order in ("BADC", "DCBA"):
        words = [word[::-1] for word in words]
    number: float | int = struct.unpack(_FORMATS[type_], b"".join(words))[0]
    return number


def encoded(number: float, type_: str, order: Order) -> list[int]:
    """The registers of a number: the reverse of `raw`. Raises ValueError if the type cannot hold it."""
    if not type_.startswith("f"):
        number = round(number)
    try:
        data = struct.pack(_FORMATS[type_], number)
    except (struct.error, OverflowError) as error:
        raise ValueError(f"{type_} cannot hold {number}") from error
    words = [data[place : place + 2] for place in range(0, len(data), 2)]
    if order in ("BADC", "DCBA"):
        words = [word[::-1] for word in words]
    if order in ("CDAB", "DCBA"):
        words.reverse()
    return [int.from_bytes(word, "big") for word in words]


def decoded(item: Item, registers: Sequence[int]) -> tuple[Value, str]:
    """The value in the catalogue's unit (None: the instrument has none), and what is wrong with it, or ""."""
    field = item.field
    if field.type == "bit":
        return registers[0] >> (field.bit or 0) & 1, ""
    number = raw(registers, field.type, item.order)
    if number in field.invalid or not math.isfinite(number):
        return None, ""
    value = number if field.scale == 1 else number * field.scale
    value += field.offset
    if (field.min is not None and value < field.min) or (field.max is not None and value > field.max):
        return None, ""
    if item.loop is not None:
        measured, wrong = item.loop.measured(value)
        if measured is None:
            return None, f"{item.key}: {wrong}"
        value = measured
    value = item.conversion.apply(value)
    if not math.isfinite(value):  # no record could hold it, and the whole line's source would fail
        return None, f"{item.key}: {number} is beyond all numbers once it is scaled"
    return _plain(value, _DIGITS_F32 if field.type == "f32" else _DIGITS), ""


def _plain(value: float, digits: int) -> float | int:
    """As short as it can be said: 23.4, not 23.400000000000002; a whole number stays one while JSON keeps it exact."""
    if isinstance(value, int) and abs(value) < 2**53:
        return value
    return tidy(value, digits)
