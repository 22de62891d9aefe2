"""The chips that can be on the board: what a host can tell them by, and where their registers are.

Sources: the chips' technical reference manuals (register summaries of SPI, UART, eFuse, RTC) and esptool's `targets`.
"""

from collections.abc import Callable
from typing import NamedTuple

from qytet.errors import QytetError

__all__ = ["CHIPS", "RomChip", "SpiRegisters", "chip_named"]


class SpiRegisters(NamedTuple):
    """The flash's SPI controller: addresses, and whether an address is left-aligned in its register."""

    base: int
    user: int
    user1: int
    user2: int
    out_bits: int
    in_bits: int
    data: int
    address_left: bool


class RomChip(NamedTuple):
    """One kind of chip. `fuses(mac)`: what its fuses and a few other registers hold, by address."""

    name: str
    magic: int
    """At 0x40001000, by which older hosts tell chips apart."""
    chip_id: int | None
    """What GET_SECURITY_INFO says; None: the ROM does not know that command."""
    spi: SpiRegisters
    uart_divider: int
    watchdog: int | None
    """Where the RTC watchdog is switched on (bit 31), which is how some hosts reset the chip."""
    bootloader_at: int
    download_words: bytes
    """What the ROM says when it waits for a host."""
    fuses: Callable[[bytes], dict[int, int]]


def _esp32_fuses(mac: bytes) -> dict[int, int]:
    """An ESP32-D0WD-V3 revision 3.1, 40 MHz crystal."""
    base, version = 0x3FF5A000, 0x3FF6607C
    clock_8m, calibration = 133, 770
    return {
        base + 4: int.from_bytes(mac[2:], "big"),
        base + 8: int.from_bytes(mac[:2], "big"),
        base + 12: 1 << 15 | 1 << 13 | 1 << 9,  # revision bit 0, rated at 240 MHz, package D0WD
        base + 16: clock_8m,
        base + 20: 1 << 20 | 1 << 24,  # revision bit 1, minor revision 1
        version: 1 << 31,  # revision bit 2
        0x3FF5F06C: calibration << 7,  # RTCCALICFG1: with the fuse above, hosts find 40 MHz
    }


def _mac_words(at: int, mac: bytes) -> dict[int, int]:
    return {at: int.from_bytes(mac[2:], "big"), at + 4: int.from_bytes(mac[:2], "big")}


def _esp32s3_fuses(mac: bytes) -> dict[int, int]:
    """An ESP32-S3 (QFN56) revision 0.2 without flash or PSRAM inside."""
    block1 = 0x60007044
    return {**_mac_words(block1, mac), block1 + 12: 2 << 18, 0x60004038: 1 << 3}


def _esp32c3_fuses(mac: bytes) -> dict[int, int]:
    """An ESP32-C3 (QFN32) revision 0.3 without flash inside."""
    block1 = 0x60008844
    return {**_mac_words(block1, mac), block1 + 12: 3 << 18}


_NEW_SPI = SpiRegisters(0x60002000, 0x18, 0x1C, 0x20, 0x24, 0x28, 0x58, address_left=False)

CHIPS = {
    "esp32": RomChip(
        "esp32",
        0x00F01D83,
        None,
        SpiRegisters(0x3FF42000, 0x1C, 0x20, 0x24, 0x28, 0x2C, 0x80, address_left=True),
        0x3FF40014,
        None,
        0x1000,
        b"ets Jul 29 2019 12:21:46\r\n\r\nrst:0x1 (POWERON_RESET),"
        b"boot:0x3 (DOWNLOAD_BOOT(UART0/UART1/SDIO_REI_REO_V2))\r\nwaiting for download\r\n",
        _esp32_fuses,
    ),
    "esp32s3": RomChip(
        "esp32s3",
        0x00000009,
        9,
        _NEW_SPI,
        0x60000014,
        0x60008098,
        0x0,
        b"ESP-ROM:esp32s3-20210327\r\nBuild:Mar 27 2021\r\n"
        b"rst:0x1 (POWERON),boot:0x0 (DOWNLOAD(USB/UART0))\r\nwaiting for download\r\n",
        _esp32s3_fuses,
    ),
    "esp32c3": RomChip(
        "esp32c3",
        0x1B31506F,
        5,
        _NEW_SPI,
        0x60000014,
        0x60008090,
        0x0,
        b"ESP-ROM:esp32c3-api1-20210207\r\nBuild:Feb  7 2021\r\n"
        b"rst:0x1 (POWERON),boot:0x4 (DOWNLOAD(USB/UART0/1))\r\nwaiting for download\r\n",
        _esp32c3_fuses,
    ),
}
"""By esptool's name."""


def chip_named(name: str) -> RomChip:
    """The chip of a name. Raises QytetError if nobody has made it."""
    if name not in CHIPS:
        raise QytetError(
            f"There is no simulated chip {name!r}.",
            why="The serial loader knows the chips that the node's program is made for.",
            do=f"Choose one of: {', '.join(CHIPS)}.",
        )
    return CHIPS[name]
