"""A host that speaks to the loader itself, byte for byte, where esptool would be too well behaved."""

import struct
from collections.abc import Iterable

from qytet_simulators.hardware.rom.packets import checksum
from qytet_simulators.hardware.rom.port import RomPort
from qytet_simulators.hardware.rom.slip import Deframer, framed

SYNC = b"\x07\x07\x12\x20" + b"\x55" * 32


class Host:
    """On the port's interface within the process; what it writes is answered when `write` returns."""

    def __init__(self, port: RomPort) -> None:
        self._port = port
        self._deframer = Deframer()
        self.said = bytearray()
        self.packets: list[bytes] = []
        self.leave = port.on_data(self._heard)

    def _heard(self, data: bytes) -> None:
        self.said += data
        self.packets += self._deframer.feed(data)

    def connect(self) -> None:
        """Classic reset by the control lines, and a sync."""
        self._port.set_signals(dtr=False, rts=True)
        self._port.set_signals(dtr=True, rts=False)
        self._port.set_signals(dtr=False)
        self._deframer = Deframer()  # the ROM's words are in no frame
        assert len(self.ask(0x08, SYNC)) == 8

    def send(self, command: int, data: bytes = b"", total: int = 0) -> None:
        """A command."""
        self._port.write(framed(struct.pack("<BBHI", 0, command, len(data), total) + data))

    def ask(self, command: int, data: bytes = b"", total: int = 0) -> list[bytes]:
        """A command, and what came back."""
        self.packets.clear()
        self.send(command, data, total)
        return list(self.packets)

    def numbers(self, command: int, *numbers: int) -> bytes:
        """A command with numbers; the one answer that came back, without its header's first eight bytes."""
        (answer,) = self.ask(command, struct.pack(f"<{len(numbers)}I", *numbers))
        return answer[8:]

    def block(self, command: int, number: int, data: bytes) -> bytes:
        """A *_DATA command; the end of its answer."""
        (answer,) = self.ask(command, struct.pack("<IIII", len(data), number, 0, 0) + data, checksum(data))
        return answer[8:]

    def read_reg(self, address: int) -> int:
        """A register."""
        (answer,) = self.ask(0x0A, struct.pack("<I", address))
        return int.from_bytes(answer[4:8], "little")

    def write_regs(self, *pairs: tuple[int, int]) -> bytes:
        """Registers, in one command; the end of its answer."""
        (answer,) = self.ask(
            0x09, b"".join(struct.pack("<IIII", at, value, 0xFFFFFFFF, 0) for at, value in pairs)
        )
        return answer[8:]

    def run_stub(self, code: Iterable[int] = b"stub") -> None:
        """Load something into RAM and start it."""
        data = bytes(code)
        assert self.numbers(0x05, len(data), 1, 0x1800, 0x40080000) == bytes(4)
        assert self.block(0x07, 0, data) == bytes(4)
        answers = self.ask(0x06, struct.pack("<II", 0, 0x40080000))
        assert answers[-1] == b"OHAI"
