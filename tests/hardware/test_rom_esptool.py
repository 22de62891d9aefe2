"""Real esptool finds the simulated board, writes, verifies, reads and erases its flash, and the board boots from it."""

import hashlib
import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import serial

from qytet_simulators.hardware.chip import data_partition
from qytet_simulators.hardware.flash import FlashFile
from qytet_simulators.hardware.rom import CHIPS, RomPort
from tests.hardware.bench import install
from tests.hardware.conftest import MakeBoard
from tests.hardware.esptool import Esptool, image, pieces

PYSERIAL = pytest.mark.filterwarnings("ignore:set(Daemon|Name).. is deprecated:DeprecationWarning")
"""pyserial 3.5 starts the thread of its RFC 2217 port in a way of old."""

MakePort = Callable[..., RomPort]
MAIN = """import machine, os
print("unit", machine.unique_id().hex(), os.listdir("/"))
"""
BUSY = """import time
while True:
    print("busy", "x" * 60)
    time.sleep_ms(50)
"""


@pytest.fixture
def esptool(tmp_path: Path) -> Esptool:
    """The program."""
    return Esptool(tmp_path)


@pytest.fixture
def make_port(make_board: MakeBoard) -> Iterator[MakePort]:
    """`make_port(chip, **options of the board)`: a board with a blank flash, plugged in."""
    with ExitStack() as ports:

        def make(chip: str = "esp32", **options: Any) -> RomPort:
            board = make_board(None, needs_image=True, bootloader_at=CHIPS[chip].bootloader_at, **options)
            return ports.enter_context(RomPort(board, chip))

        yield make


@pytest.mark.parametrize(
    ("chip", "name"),
    [
        ("esp32", "ESP32-D0WD-V3 (revision v3.1)"),
        ("esp32s3", "ESP32-S3 (QFN56) (revision v0.2)"),
        ("esp32c3", "ESP32-C3 (QFN32) (revision v0.3)"),
    ],
)
def test_every_chip_is_recognised_and_written(
    make_port: MakePort, flash: FlashFile, esptool: Esptool, tmp_path: Path, chip: str, name: str
) -> None:
    """esptool names chip, MAC and flash by itself, what it writes through its stub is in the flash, and it boots."""
    port = make_port(chip)
    content, random = image(60_000), hashlib.shake_128(b"qytet").digest(20_000)
    (tmp_path / "image.bin").write_bytes(content)
    (tmp_path / "random.bin").write_bytes(random)
    at = CHIPS[chip].bootloader_at
    files = pieces((at, tmp_path / "image.bin"), (0x20000, tmp_path / "random.bin"))
    port.enter()
    said = esptool.works(port.pty, "--baud", "460800", "write-flash", "--flash-size", "detect", *files)
    for word in [name, "Crystal frequency:  40MHz", "24:0a:c4:51:74:01", "Auto-detected flash size: 4MB"]:
        assert word in said
    assert said.count("Hash of data verified") == 2
    assert "compressed)" in said
    assert "will flash uncompressed" in said
    assert (
        flash.read(at + 4, len(content) - 4) == content[4:]
    )  # esptool puts the detected size into the header
    assert flash.read(0x20000, len(random)) == random
    with serial.Serial(port.pty, 115200, timeout=60) as terminal:
        port.reset()
        assert terminal.read_until(b">>> ").endswith(b">>> ")
        terminal.write(b"print(6 * 7)\r")
        assert terminal.read_until(b"\n42\r\n").endswith(b"\n42\r\n")


def test_the_rom_alone_does(make_port: MakePort, flash: FlashFile, esptool: Esptool, tmp_path: Path) -> None:
    """Without the stub a file is written in the ROM's small blocks, verified, and the chip stays in its loader."""
    port = make_port()
    content = image(5_000)
    (tmp_path / "image.bin").write_bytes(content)
    files = pieces((0x9000, tmp_path / "image.bin"))
    port.enter()
    said = esptool.works(port.pty, "--no-stub", "--after", "no-reset", "write-flash", *files)
    assert "Hash of data verified" in said
    assert flash.read(0x9000, len(content)) == content
    assert port.in_loader


def test_reading_and_erasing(make_port: MakePort, flash: FlashFile, esptool: Esptool, tmp_path: Path) -> None:
    """What was there comes back byte for byte; the stub that stays is used again, and all is blank."""
    port = make_port()
    content = image(20_000)
    flash.write(0x10000, content)
    port.enter()
    back = tmp_path / "back.bin"
    esptool.works(port.pty, "--after", "no-reset-stub", "read-flash", "0x10000", str(len(content)), str(back))
    assert back.read_bytes() == content
    assert "Stub flasher is already running" in esptool.works(port.pty, "erase-flash")
    assert flash.is_blank(0, flash.size)


def test_another_chip_than_asked_for(
    make_port: MakePort, flash: FlashFile, esptool: Esptool, tmp_path: Path
) -> None:
    """A wrong board on the bench is refused by name before anything is written."""
    (tmp_path / "image.bin").write_bytes(image(1_000))
    port = make_port("esp32c3")
    port.enter()
    done = esptool.run(port.pty, "--chip", "esp32", "write-flash", *pieces((0x1000, tmp_path / "image.bin")))
    assert done.code == 2
    assert "This chip is ESP32-C3, not ESP32. Wrong chip argument?" in done.said
    assert flash.operations == 0


@PYSERIAL
def test_from_a_blank_board_to_its_own_words(
    make_port: MakePort, flash: FlashFile, esptool: Esptool, tmp_path: Path
) -> None:
    """Over RFC 2217 esptool resets the board by itself; it boots what was flashed and talks over the same port."""
    with FlashFile(tmp_path / "master.bin") as master:
        install(master, {"main.py": MAIN})
        at, size = data_partition(master)
        (tmp_path / "files.bin").write_bytes(master.read(at, 32 * 1024))
    (tmp_path / "image.bin").write_bytes(image(2_000))
    port = make_port()
    port.board.console.wait_for("invalid header")
    mark = len(port.board.console.text)
    esptool.works(
        port.url,
        "--baud",
        "460800",
        "write-flash",
        *pieces((0x1000, tmp_path / "image.bin"), (at, tmp_path / "files.bin")),
    )
    said = port.board.console.wait_for("main.py", since=mark)
    assert (
        said.index("waiting for download")
        < said.index("SPI_FAST_FLASH_BOOT")
        < said.index("unit 240ac4517401")
    )
    mark = len(port.board.console.text)
    with serial.serial_for_url(port.url, 115200, timeout=60) as terminal:
        terminal.write(b"print(6 * 7)\r")
        assert terminal.read_until(b"\n42\r\n").endswith(b"\n42\r\n")
        terminal.baudrate = 9600
        terminal.write(b"print(6 * 7)\r")
    assert "boot:" not in port.board.console.text[mark:]
    assert port.board.console.text[mark:].count("42") == 1
    assert size > 32 * 1024


def test_flashing_does_not_wait_for_the_program(make_port: MakePort, esptool: Esptool) -> None:
    """A program that talks faster than the line can does not keep esptool from the loader, nor comes to harm."""
    port = make_port(speed=20)
    with FlashFile(port.board.flash.path.with_name("busy.bin")) as master:
        install(master, {"main.py": BUSY})
        at, size = data_partition(master)
        port.board.flash.write(at, master.read(at, size))
    port.board.flash.write(0x1000, b"\xe9")
    port.reset()
    port.board.console.wait_for("busy")
    esptool.works(port.url, "--no-stub", "read-mac")
    events = port.board.events  # the console may have talked so much meanwhile that its text has forgotten it
    loader = events.wait_for("line", match=lambda event: "waiting for download" in event.facts["text"])
    events.wait_for("line", since=loader.number, match=lambda event: "busy" in event.facts["text"])


@PYSERIAL
def test_a_host_that_is_no_host(make_port: MakePort) -> None:
    """One host at a time; one that speaks no telnet, or goes without a word, leaves the port to the next."""
    port = make_port()
    address = ("127.0.0.1", int(port.url.rpartition(":")[2]))
    for words in (
        b"GET / HTTP/1.1\r\n\r\n",
        b"\xff\xf0",
        b"\xff\xfa\x2c\x01\x00\xff\xf0",
        b"\xff\xfa\x2c\x03\x09\xff\xf0",
    ):
        with socket.create_connection(address, 60) as first:
            first.sendall(words)
            with socket.create_connection(address, 60) as second:
                second.settimeout(60)
                second.recv(1)
    with serial.serial_for_url(port.url, 115200, timeout=60) as terminal:
        port.enter()
        assert terminal.read_until(b"waiting for download")
