"""How Modbus lines and the units on them stand in the gateway's configuration."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from qytet_edge.inbox.kinds import Slug, SourceConfig
from qytet_edge.inbox.modbus.line import SerialSettings, TcpSettings

__all__ = ["InputConfig", "ModbusConfig", "RtuConfig", "TcpConfig", "UnitConfig"]


class InputConfig(BaseModel):
    """What is connected to a 4-20 mA input: `[source.unit.inputs.ai1]`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    property: str = Field(description="Name in the catalogue of properties.")
    channel: str = Field("", description="Channel of the property, such as the name of a pipe.")
    low: float = Field(description="What the transmitter measures at 4 mA.")
    high: float = Field(description="What it measures at 20 mA.")
    unit: str = Field("", description="Unit of `low` and `high`; empty: the catalogue's.")


class UnitConfig(BaseModel):
    """One instrument on the line: `[[source.unit]]`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    address: int = Field(ge=0, le=255, description="Its unit address; 1 to 247 on a serial line.")
    map: str = Field(
        min_length=1,
        description="Its register map: the name of one that is shipped, or the path of a .toml file.",
    )
    device: Slug | None = Field(
        None, description="The device that its readings belong to; without it the gateway."
    )
    every_s: float = Field(60.0, gt=0, le=86400, description="Seconds from one poll to the next.")
    channel: str = Field(
        "", description="Put before the channel of every key, to tell equal instruments of one device apart."
    )
    only: tuple[str, ...] = Field((), description="Keys of the map to read; empty: all.")
    rename: dict[str, str] = Field(
        {},
        description="Key of the map = key to report it as, such as the lamp's property for a meter in its feed.",
    )
    inputs: dict[str, InputConfig] = Field({}, description="What is connected to its 4-20 mA inputs.")


class _Polled(BaseModel):
    unit: Annotated[tuple[UnitConfig, ...], Field(min_length=1)] = Field(
        description="The instruments on the line."
    )
    rest_s: float = Field(
        300.0,
        gt=0,
        le=86400,
        description="A unit that stays silent is asked ever more rarely, up to so many seconds apart.",
    )


class RtuConfig(SourceConfig, SerialSettings, _Polled):
    """Modbus RTU: instruments on a serial line (RS-485), one after the other."""

    kind: Literal["modbus-rtu"]


class TcpConfig(SourceConfig, TcpSettings, _Polled):
    """Modbus TCP: instruments behind a Modbus server on the network."""

    kind: Literal["modbus-tcp"]


ModbusConfig = RtuConfig | TcpConfig
