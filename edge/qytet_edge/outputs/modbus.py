"""Outputs behind a Modbus line: a relay's coil, a valve's or a dimmer's register, read back after each change."""

from contextlib import AsyncExitStack
from typing import Literal

from pydantic import Field, model_validator

from qytet.doctor.finding import Finding, ok, problem
from qytet_edge.inbox.kinds import Context, OutputConfig
from qytet_edge.inbox.modbus.bus import Bus, bus_for
from qytet_edge.inbox.modbus.errors import BusError, PortError, RefusedError
from qytet_edge.inbox.modbus.line import Line, SerialLine, TcpLine, Timing
from qytet_edge.inbox.modbus.maps import REGISTERS, Order
from qytet_edge.inbox.modbus.values import encoded, raw

__all__ = ["Config", "ModbusOutput", "create", "probe"]

_OPEN_S = 3.0
_COIL = 5
_REGISTER = 6
_ON = 0.5  # from here on a value means "on"


class Config(OutputConfig, Timing):
    """A coil or register of a unit on a Modbus line; the line may be one that a source reads."""

    kind: Literal["modbus"]
    port: str = Field(
        "", description="Serial port; or give `host`. Its settings must equal those of a source on it."
    )
    baud: int = Field(9600, ge=300, le=1_000_000, description="Bits per second.")
    parity: Literal["N", "E", "O"] = Field("N", description="Parity: none, even or odd.")
    stop_bits: Literal[1, 2] = Field(1, description="Stop bits.")
    host: str = Field("", description="Modbus server, instead of `port`.")
    tcp_port: int = Field(502, ge=1, le=65535, description="TCP port of `host`.")
    framing: Literal["tcp", "rtu"] = Field(
        "tcp", description="`rtu`: `host` is a serial server for RTU frames."
    )
    unit: int = Field(ge=1, le=255, description="Unit address.")
    function: Literal[5, 6, 16] = Field(
        5, description="5 writes a coil (on from 0.5), 6 one register, 16 as many registers as `type` fills."
    )
    address: int = Field(ge=0, le=65535, description="0-based address of the coil or first register.")
    type: Literal["u16", "i16", "u32", "i32", "f32"] = Field(
        "u16", description="How the register keeps the number."
    )
    order: Order = Field("ABCD", description="Order of bytes in numbers of more than one register.")
    scale: float = Field(
        1.0, description="The value is the number in the register times `scale` plus `offset`."
    )
    offset: float = Field(0.0, description="See `scale`.")
    min: float = Field(0.0, description="Lowest value that may be set.")
    max: float = Field(100.0, description="Highest value that may be set.")
    verify: bool = Field(True, description="Read back what was written; false if the unit cannot.")
    safe: float | None = Field(
        None, description="Value that is set when the gateway stops; without it it stays."
    )

    @model_validator(mode="after")
    def _sensible(self) -> "Config":
        if bool(self.port) == bool(self.host):
            raise ValueError("give either port or host")
        if self.function == _REGISTER and REGISTERS[self.type] != 1:
            raise ValueError(
                f"function 6 writes one register; {self.type} fills {REGISTERS[self.type]}: use 16"
            )
        if self.scale == 0:
            raise ValueError("scale must not be 0")
        if self.safe is not None and not self.min <= self.safe <= self.max:
            raise ValueError("safe must lie between min and max")
        return self

    @property
    def line(self) -> Line:
        """The line that is meant."""
        if self.port:
            return SerialLine(self.port, self.baud, self.parity, self.stop_bits)
        return TcpLine(self.host, self.tcp_port, self.framing)


class ModbusOutput:
    """One thing to move (see ports.Output). The line is opened at the first use and kept until `close`."""

    def __init__(self, config: Config, context: Context) -> None:
        self.name = config.name
        self.bus: Bus = bus_for(context, config.line)
        self._config = config
        self._held: AsyncExitStack | None = None

    async def set(self, value: float) -> None:
        """Write the value, and read it back if it can be. Raises BusError (an OSError)."""
        config = self._config
        if not config.min <= value <= config.max:  # also false for NaN
            raise BusError(f"{self.name} takes {config.min:g} to {config.max:g}, not {value:g}")
        await self._opened()
        for left in reversed(range(1 + config.retries)):
            try:
                await self._write(value)
            except BusError as error:
                if (
                    not left
                    or isinstance(error, PortError)
                    or (isinstance(error, RefusedError) and not error.busy)
                ):
                    raise
            else:
                return

    async def close(self) -> None:
        """Leave it in its safe state, if it has one, and let go of the line. Raises BusError."""
        try:
            if self._config.safe is not None:
                await self.set(self._config.safe)
        finally:
            held, self._held = self._held, None
            if held is not None:
                await held.aclose()

    async def _opened(self) -> None:
        if self._held is None:
            held = AsyncExitStack()
            await held.enter_async_context(self.bus.use())
            self._held = held
        await self.bus.opened(_OPEN_S)

    async def _write(self, value: float) -> None:
        config = self._config
        if config.function == _COIL:
            await self.bus.write_coil(config.unit, config.address, value >= _ON, config.timeout_s)
            wanted, function = [int(value >= _ON)], 1
        else:
            wanted, function = self._registers(value), 3
            await self.bus.write_registers(
                config.unit, config.address, wanted, config.timeout_s, single=config.function == _REGISTER
            )
        if config.verify:
            found = await self.bus.read(config.unit, function, config.address, len(wanted), config.timeout_s)
            if found != wanted:
                raise BusError(
                    f"{self.name} was set to {value:g}, but unit {config.unit} holds {self._said(found)}"
                )

    def _registers(self, value: float) -> list[int]:
        try:
            return encoded(
                (value - self._config.offset) / self._config.scale, self._config.type, self._config.order
            )
        except ValueError as error:
            raise BusError(f"{self.name}: {error}") from error

    def _said(self, found: list[int]) -> float:
        if self._config.function == _COIL:
            return found[0]
        return raw(found, self._config.type, self._config.order) * self._config.scale + self._config.offset


def create(config: Config, context: Context) -> ModbusOutput:
    """An output on its line. Raises SettingsError if the line is set otherwise elsewhere."""
    return ModbusOutput(config, context)


async def probe(config: Config, context: Context) -> list[Finding]:
    """Reads the present value; moves nothing."""
    bus = bus_for(context, config.line)
    function, count = (1, 1) if config.function == _COIL else (3, REGISTERS[config.type])
    async with bus.use():
        try:
            await bus.opened(_OPEN_S)
            found = await bus.read(config.unit, function, config.address, count, config.timeout_s)
        except BusError as error:
            return [
                problem(
                    f"Output {config.name}: {error}.", "Check the line, the unit's power and its address."
                )
            ]
    return [ok(f"Output {config.name}: unit {config.unit} holds {found} at {config.address}.")]
