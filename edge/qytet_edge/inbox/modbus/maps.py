"""Register maps: what an instrument keeps at which address, read from TOML files.

A map file (those that are shipped stand in `maps/`):

    title = "Eastron SDM120"
    source = "Eastron SDM120-Modbus protocol"     # the document that it was taken from
    order = "ABCD"                                # default for its fields
    max_count = 80                                # registers that it gives in one answer
    max_gap = 10                                  # unused registers that are read along rather than asked around
    [[field]]
    property = "grid_phase_voltage"
    function = 4
    address = 0                                   # as on the wire: 0-based
    type = "f32"
    unit = "V"
"""

import builtins
from importlib import resources
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from qytet.errors import InputError, NotFoundError
from qytet_contract.codes import ContractError
from qytet_contract.records import check_key
from qytet_edge.inbox.units import conversion
from qytet_edge.toml import from_toml

__all__ = ["Map", "MapField", "Order", "Type", "load_map", "shipped_maps"]

Type = Literal["u16", "i16", "u32", "i32", "u64", "i64", "f32", "f64", "bit"]
Order = Literal["ABCD", "CDAB", "BADC", "DCBA"]
REGISTERS: dict[str, int] = {
    "bit": 1,
    "u16": 1,
    "i16": 1,
    "u32": 2,
    "i32": 2,
    "f32": 2,
    "u64": 4,
    "i64": 4,
    "f64": 4,
}
"""How many registers a type fills."""
_MOST_REGISTERS = 125  # Modbus Application Protocol V1.1b3, 6.3
_ADDRESSES = 65536
_MOST_FIELDS = 1000


class MapField(BaseModel):
    """One number that an instrument keeps."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    property: str = Field("", description="Name in the catalogue of properties. Empty if `input` is given.")
    channel: str = Field("", description="Channel: a phase, a lane, a probe.")
    input: str = Field(
        "",
        pattern=r"^[a-z0-9_-]{0,20}$",
        description="Name of a 4-20 mA input, in milliamperes after scale and offset; the unit's table in the "
        "configuration says what is connected to it.",
    )
    function: Literal[1, 2, 3, 4] = Field(
        description="Modbus function: 1 coils, 2 discrete inputs, 3 holding registers, 4 input registers."
    )
    address: int = Field(ge=0, lt=_ADDRESSES, description="0-based address, as it goes over the wire.")
    type: Type = Field(
        "u16", description="How the number is kept; `bit` is a coil, an input, or bit `bit` of a register."
    )
    bit: int | None = Field(None, ge=0, le=15, description="Which bit of a register, 0 the lowest.")
    order: Order | None = Field(
        None,
        description="Order of bytes in numbers of more than one register; ABCD: highest first, CDAB: words swapped.",
    )
    scale: float = Field(1.0, description="Multiplies the number as it is kept.")
    offset: float = Field(0.0, description="Is added after that.")
    unit: str = Field("", description="The instrument's unit after scale and offset; empty: the catalogue's.")
    invalid: tuple[int, ...] = Field(
        (), description="Numbers as kept (unscaled) that mean `no value`, such as 0x7FFF."
    )
    min: float | None = Field(None, description="Below this (after scale and offset) it is no value.")
    max: float | None = Field(None, description="Above this (after scale and offset) it is no value.")
    increment: bool = Field(
        False, description="A running total of which the increase since the last reading is wanted (rain)."
    )

    @model_validator(mode="after")
    def _sensible(self) -> "MapField":
        if bool(self.property) == bool(self.input):
            raise ValueError("give either property or input")
        bits = self.function in (1, 2)
        if bits and self.type != "bit":
            raise ValueError(f"function {self.function} reads bits: type must be 'bit'")
        if (self.bit is not None) != (self.type == "bit" and not bits):
            raise ValueError("bit is for type 'bit' in a register (function 3 or 4), and needed there")
        if self.address + self.registers > _ADDRESSES:
            raise ValueError(f"address {self.address} with type {self.type} ends beyond 65535")
        if self.property:
            _check(self.key)
            conversion(self.property, self.unit)
        return self

    @builtins.property  # `property` is a field here
    def key(self) -> str:
        """Its key in a record, before the unit's own channel is added; for an input its name."""
        return self.input or (f"{self.property}:{self.channel}" if self.channel else self.property)

    @builtins.property  # `property` is a field here
    def registers(self) -> int:
        """How many registers or bits it fills."""
        return REGISTERS[self.type]


class Map(BaseModel):
    """One kind of instrument."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    title: str = Field(min_length=1, description="Maker and model.")
    source: str = Field("", description="The document it was taken from.")
    line: str = Field("", description="The maker's factory setting of the line, to be read by people.")
    order: Order = Field("ABCD", description="Order of bytes unless a field says otherwise.")
    max_count: int = Field(
        60, ge=1, le=_MOST_REGISTERS, description="Registers that the instrument gives in one answer."
    )
    max_gap: int = Field(
        4,
        ge=0,
        le=_MOST_REGISTERS,
        description="Unused registers that may be read along; 0 if they are refused.",
    )
    field: Annotated[tuple[MapField, ...], Field(min_length=1, max_length=_MOST_FIELDS)] = Field(
        description="What it keeps."
    )

    @model_validator(mode="after")
    def _sensible(self) -> "Map":
        keys = [field.key for field in self.field]
        twice = {key for key in keys if keys.count(key) > 1}
        if twice:
            raise ValueError(f"more than one field makes {', '.join(sorted(twice))}: give each a channel")
        for field in self.field:
            if field.registers > self.max_count:
                raise ValueError(f"{field.key} fills more registers than max_count")
        return self


def shipped_maps() -> list[str]:
    """The names of the maps that come with the gateway."""
    folder = resources.files("qytet_edge.inbox.modbus") / "maps"
    return sorted(
        found.name.removesuffix(".toml") for found in folder.iterdir() if found.name.endswith(".toml")
    )


def load_map(name: str, folder: Path) -> Map:
    """A shipped map by name, or a file (`….toml`) from `folder` on. Raises NotFoundError or InputError."""
    if name.endswith(".toml"):
        path = folder / name
        try:
            return _parsed(path.read_text(encoding="utf-8"), str(path))
        except (OSError, UnicodeDecodeError) as error:
            raise NotFoundError(
                f"The register map {path} cannot be read.", why=str(error), do="Check the path in `map`."
            ) from error
    if name not in shipped_maps():
        raise NotFoundError(
            f"There is no register map {name!r}.",
            why=f"Shipped are {', '.join(shipped_maps())}.",
            do="Name one of these, or the path of a file that ends in .toml.",
        )
    file = resources.files("qytet_edge.inbox.modbus") / "maps" / f"{name}.toml"
    return _parsed(file.read_text(encoding="utf-8"), name)


def _parsed(text: str, name: str) -> Map:
    try:
        return Map.model_validate(from_toml(text))
    except ValidationError as error:
        wrong = error.errors(include_url=False)[0]
        place = ".".join(str(part + 1 if isinstance(part, int) else part) for part in wrong["loc"])
        raise InputError(
            f"The register map {name} is wrong{' at ' + place if place else ''}.",
            why=str(wrong["msg"]).removeprefix("Value error, "),
            do="Fields are counted from 1.",
        ) from error
    except ValueError as error:
        raise InputError(f"The register map {name} is no TOML.", why=str(error)) from error


def _check(key: str) -> None:
    try:
        check_key(key)
    except ContractError as error:
        raise ValueError(str(error)) from error
