"""How Sensirion's chips speak: commands of 16 bits, words of 16 bits each followed by a CRC-8.

CRC-8: polynomial 0x31, initial value 0xFF, nothing reflected; 0xBEEF gives 0x92. (SCD4x data sheet, 3.12; SPS30
data sheet, 6.2.)
"""

from qytet_edge.inbox.i2c.bus import Bus, ChecksumError, Pause

__all__ = ["ask", "crc8", "tell"]

_POLYNOMIAL = 0x31


def crc8(data: bytes) -> int:
    """The checksum of a word."""
    crc = 0xFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = (crc << 1 ^ _POLYNOMIAL if crc & 0x80 else crc << 1) & 0xFF
    return crc


def tell(bus: Bus, address: int, command: int, *words: int) -> None:
    """Send a command, with words as its arguments."""
    data = command.to_bytes(2, "big")
    for word in words:
        raw = word.to_bytes(2, "big")
        data += raw + bytes([crc8(raw)])
    bus.write(address, data)


def ask(bus: Bus, address: int, command: int, count: int, pause: Pause) -> list[int]:
    """Send a command and read `count` words a millisecond later. Raises ChecksumError if any of them is spoilt."""
    tell(bus, address, command)
    pause(0.001)
    data = bus.read(address, 3 * count)
    words = []
    for at in range(0, 3 * count, 3):
        if crc8(data[at : at + 2]) != data[at + 2]:
            raise ChecksumError(f"wrong CRC in the answer to 0x{command:04x}")
        words.append(int.from_bytes(data[at : at + 2], "big"))
    return words
