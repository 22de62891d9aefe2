"""The wires: how a serial line or a Modbus TCP server is named and set, as sources and outputs share it."""

from typing import Literal, NamedTuple

from pydantic import BaseModel, ConfigDict, Field

__all__ = ["Line", "SerialLine", "SerialSettings", "TcpLine", "TcpSettings", "Timing"]

_BITS_PER_BYTE = 11  # start bit, eight data bits, parity or a second stop bit, stop bit
_SILENT_CHARACTERS = 3.5  # Modbus over Serial Line V1.02, 2.5.1.1: between two frames
_SHORTEST_SILENCE_S = 0.00175  # ... and no less above 19200 baud


class SerialLine(NamedTuple):
    """A serial port and its setting. Two users of one port must agree on all of it."""

    port: str
    baud: int
    parity: Literal["N", "E", "O"]
    stop_bits: Literal[1, 2]

    @property
    def rtu(self) -> bool:
        """Frames have a checksum and no header."""
        return True

    @property
    def place(self) -> str:
        """What must not be opened twice."""
        return self.port

    @property
    def silence_s(self) -> float:
        """Silence that a frame must keep from the one before it."""
        return max(_SHORTEST_SILENCE_S, self.wire_s(1) * _SILENT_CHARACTERS)

    def wire_s(self, count: int) -> float:
        """Seconds that so many bytes take on the wire."""
        return count * _BITS_PER_BYTE / self.baud


class TcpLine(NamedTuple):
    """A Modbus server on the network; `framing` "rtu" is a serial server that passes RTU frames through."""

    host: str
    port: int
    framing: Literal["tcp", "rtu"]

    @property
    def rtu(self) -> bool:
        """Frames have a checksum and no header."""
        return self.framing == "rtu"

    @property
    def place(self) -> str:
        """What must not be opened twice: many instruments take one connection only."""
        return f"{self.host}:{self.port}"

    @property
    def silence_s(self) -> float:
        """A network needs none; a serial server behind it keeps its own."""
        return 0.0

    def wire_s(self, _count: int) -> float:
        """Nothing beside the time-out."""
        return 0.0


Line = SerialLine | TcpLine


class Timing(BaseModel):
    """How long an answer may take, and how often a question is repeated."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    timeout_s: float = Field(
        1.0,
        gt=0,
        le=60,
        description="Longest wait for a unit's answer, beside the time on the wire, in seconds.",
    )
    retries: int = Field(
        2, ge=0, le=10, description="How often a question is repeated before a poll counts as failed."
    )


class SerialSettings(Timing):
    """A serial line, as the configuration has it."""

    port: str = Field(
        description="Serial port, best by its lasting name: `/dev/serial/by-id/usb-…`. "
        "Sources and outputs of one port share it."
    )
    baud: int = Field(9600, ge=300, le=1_000_000, description="Bits per second.")
    parity: Literal["N", "E", "O"] = Field("N", description="Parity: none, even or odd.")
    stop_bits: Literal[1, 2] = Field(1, description="Stop bits.")

    @property
    def line(self) -> SerialLine:
        """The line that is meant."""
        return SerialLine(self.port, self.baud, self.parity, self.stop_bits)


class TcpSettings(Timing):
    """A Modbus server, as the configuration has it."""

    host: str = Field(min_length=1, description="Name or address of the Modbus server.")
    port: int = Field(502, ge=1, le=65535, description="Its TCP port.")
    framing: Literal["tcp", "rtu"] = Field(
        "tcp", description="`tcp`: Modbus TCP. `rtu`: a serial server that passes RTU frames through."
    )

    @property
    def line(self) -> TcpLine:
        """The line that is meant."""
        return TcpLine(self.host, self.port, self.framing)
