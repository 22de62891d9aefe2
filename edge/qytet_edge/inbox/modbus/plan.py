"""What to ask one unit for: its map's fields under the keys that the configuration wants, in few questions."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from qytet.errors import SettingsError
from qytet_contract.codes import ContractError
from qytet_contract.records import MAX_VALUES, check_key
from qytet_edge.inbox.current_loop import Loop
from qytet_edge.inbox.modbus.config import UnitConfig
from qytet_edge.inbox.modbus.maps import Map, MapField
from qytet_edge.inbox.modbus.values import Item
from qytet_edge.inbox.units import conversion

__all__ = ["Block", "blocks", "items"]

_MOST_BITS = 2000  # Modbus Application Protocol V1.1b3, 6.1


class Block(NamedTuple):
    """One question: `size` registers or bits from `address` on, and what is found among them."""

    function: int
    address: int
    size: int
    items: tuple[Item, ...]

    def registers(self, item: Item, answer: Sequence[int]) -> Sequence[int]:
        """The part of the answer that belongs to an item."""
        start = item.field.address - self.address
        return answer[start : start + item.field.registers]


def items(unit: UnitConfig, found: Map) -> list[Item]:
    """The fields that this unit's table asks for. Raises SettingsError if it asks for what the map has not."""
    known = {field.key for field in found.field}
    _check_names(unit, found, known)
    made = [_item(unit, found, field) for field in found.field if _wanted(unit, field)]
    keys = [item.key for item in made]
    if not made:
        raise _wrong(unit, "nothing is asked of it", "Connect an input, or name other fields in `only`.")
    if len(set(keys)) < len(keys):
        twice = sorted({key for key in keys if keys.count(key) > 1})
        raise _wrong(unit, f"two of its fields make {', '.join(twice)}", "Give them different channels.")
    if len(keys) > MAX_VALUES:
        raise _wrong(
            unit, f"it makes {len(keys)} values; a record holds {MAX_VALUES}", "Choose fields with `only`."
        )
    return made


def blocks(wanted: Iterable[Item], found: Map) -> list[Block]:
    """The items grouped into as few questions as the instrument allows, in order of function and address."""
    grouped: list[list[Item]] = []
    for item in sorted(wanted, key=lambda item: (item.field.function, item.field.address)):
        if not grouped or not _joins(grouped[-1], item.field, found):
            grouped.append([])
        grouped[-1].append(item)
    return [_block(group) for group in grouped]


def _wanted(unit: UnitConfig, field: MapField) -> bool:
    if field.input:
        return field.input in unit.inputs
    return not unit.only or field.key in unit.only


def _item(unit: UnitConfig, found: Map, field: MapField) -> Item:
    try:
        if field.input:
            wired = unit.inputs[field.input]
            name, channel, unit_name = wired.property, wired.channel, wired.unit
            loop = Loop(wired.low, wired.high)
        else:
            name, _, channel = unit.rename.get(field.key, field.key).partition(":")
            unit_name, loop = field.unit, None
        channel = "-".join(part for part in (unit.channel, channel) if part)
        key = f"{name}:{channel}" if channel else name
        check_key(key)
        return Item(key, field, field.order or found.order, conversion(name, unit_name), loop)
    except (ContractError, ValueError) as error:
        raise _wrong(
            unit, str(error), "Name a property of the catalogue, and a unit that converts to its own."
        ) from error


def _check_names(unit: UnitConfig, found: Map, known: set[str]) -> None:
    for asked in (*unit.only, *unit.rename, *unit.inputs):
        if asked not in known:
            raise _wrong(
                unit,
                f"the map {unit.map} ({found.title}) has no {asked!r}",
                f"It has {', '.join(sorted(known))}.",
            )


def _joins(group: list[Item], field: MapField, found: Map) -> bool:
    first, last = group[0].field, max((item.field for item in group), key=_end)
    most = found.max_count if field.function > 2 else _MOST_BITS
    return (
        field.function == first.function
        and field.address - _end(last) <= found.max_gap
        and max(_end(field), _end(last)) - first.address <= most
    )


def _block(group: list[Item]) -> Block:
    first = group[0].field
    end = max(_end(item.field) for item in group)
    return Block(first.function, first.address, end - first.address, tuple(group))


def _end(field: MapField) -> int:
    return field.address + field.registers


def _wrong(unit: UnitConfig, why: str, do: str) -> SettingsError:
    return SettingsError(f"Unit {unit.address} cannot be read as configured.", why=why + ".", do=do)
