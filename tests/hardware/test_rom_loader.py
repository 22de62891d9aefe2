"""The loader and its stub, command by command: what the protocol promises to a host, and what it refuses."""

import hashlib
import random
import struct
import zlib
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from qytet_simulators.hardware.flash import FlashFile
from qytet_simulators.hardware.rom import RomPort
from qytet_simulators.hardware.rom.packets import Command, checksum
from qytet_simulators.hardware.rom.slip import Deframer, framed
from qytet_simulators.hardware.rom.spiflash import SpiFlash
from tests.hardware.conftest import MakeBoard
from tests.hardware.romhost import SYNC, Host

FLASH_BEGIN, FLASH_DATA, FLASH_END = 2, 3, 4
DEFL_BEGIN, DEFL_DATA = 0x10, 0x11
MD5, ATTACH = 0x13, 0x0D
READ_FLASH, ERASE_REGION, RUN_PROGRAM = 0xD2, 0xD1, 0xD3
ROM_OK, STUB_OK = bytes(4), bytes(2)

MakeHost = Callable[..., tuple[RomPort, Host]]


@pytest.fixture
def make_host(make_board: MakeBoard) -> Iterator[MakeHost]:
    """`make_host(chip)`: a plugged-in board and a host that has reset it into the loader."""
    with ExitStack() as ports:

        def make(chip: str = "esp32", *, stub: bool = False) -> tuple[RomPort, Host]:
            port = ports.enter_context(RomPort(make_board(None, needs_image=True), chip))
            host = Host(port)
            host.connect()
            if stub:
                host.run_stub()
            else:
                host.numbers(ATTACH, 0, 0)
            return port, host

        yield make


def test_slip_survives_what_is_no_slip() -> None:
    """Escapes come back as they were; what lies outside of frames, or has a wrong escape, costs only itself."""
    payload = bytes(range(256)) * 3 + b"\xc0\xdb\xc0"
    deframer = Deframer()
    garbage = b"boot words\r\n" + framed(payload) + b"\xc0\xdb\x01\xc0" + framed(b"next")
    got = [one for at in range(len(garbage)) for one in deframer.feed(garbage[at : at + 1])]
    assert got == [payload, b"next"]
    assert list(Deframer().feed(b"\xc0" + b"a" * (1 << 18) + b"\xc0" + framed(b"after"))) == [b"after"]


def test_rom_says_so_in_its_own_words(make_host: MakeHost) -> None:
    """Eight answers to a sync; an unknown command and one that only the stub knows are refused, not ignored."""
    port, host = make_host()
    assert b"waiting for download" in host.said
    syncs = host.ask(0x08, SYNC)
    assert {one[:8] for one in syncs} == {struct.pack("<BBHI", 1, 8, 4, 0x20120707)}
    for command in (0x55, 0xD0, 0x14):
        assert host.numbers(command) == b"\x01\x05\0\0"
    assert port.in_loader


def test_rom_erases_first_and_numbers_do_not_matter(make_host: MakeHost, flash: FlashFile) -> None:
    """FLASH_BEGIN erases every sector that it touches and no other; a block with a wrong checksum changes nothing."""
    _, host = make_host()
    flash.write(0x11000, bytes(0x4000))
    assert host.numbers(FLASH_BEGIN, 0x1100, 5, 0x400, 0x12000) == ROM_OK
    assert flash.read(0x11FFF, 1) == b"\0"
    assert flash.read(0x12000, 0x2000) == b"\xff" * 0x2000
    assert flash.read(0x14000, 1) == b"\0"
    block = b"qytet" * 200
    (refused,) = host.ask(FLASH_DATA, struct.pack("<IIII", len(block), 0, 0, 0) + block, 0)
    assert refused[8:] == b"\x01\x07\0\0"
    assert flash.is_blank(0x12000, 0x2000)
    assert host.block(FLASH_DATA, 7, block) == ROM_OK
    assert flash.read(0x12000, len(block)) == block
    assert host.numbers(MD5, 0x12000, len(block), 0, 0) == hashlib.md5(block).hexdigest().encode() + ROM_OK


def test_rom_writes_nothing_before_the_pins_are_attached(make_board: MakeBoard, flash: FlashFile) -> None:
    """Without SPI_ATTACH the ROM reaches no flash: it fails, and its registers say that no chip is there."""
    with RomPort(make_board(None, needs_image=True)) as port:
        host = Host(port)
        host.connect()
        assert host.numbers(FLASH_BEGIN, 0x400, 1, 0x400, 0)[:2] == b"\x01\x06"
        assert flash.operations == 0


def test_nothing_is_written_beyond_the_chip(make_host: MakeHost, flash: FlashFile) -> None:
    """A download, an erase, a read or a checksum beyond the flash's end fails and changes nothing."""
    _, host = make_host(stub=True)
    assert host.numbers(FLASH_BEGIN, 0x2000, 1, 0x4000, flash.size - 0x1000)[:1] == b"\xc4"
    assert host.numbers(ERASE_REGION, flash.size, 0x1000)[:1] == b"\xc4"
    assert host.numbers(MD5, flash.size - 1, 2, 0, 0)[:1] == b"\xc4"
    assert host.numbers(READ_FLASH, flash.size - 1, 2, 0x1000, 1)[:1] == b"\xc4"
    assert host.numbers(ERASE_REGION, 0x800, 0x1000)[:1] == b"\xc0"
    assert flash.operations == 0


def test_stub_erases_as_it_goes_and_tells_failures_late(make_host: MakeHost, flash: FlashFile) -> None:
    """The stub answers before it writes: sectors ahead are as they were, and what fails is told to what comes next."""
    _, host = make_host(stub=True)
    flash.write(0x20000, bytes(0x8000))
    stream = zlib.compress(bytes(range(256)) * 128)
    assert host.numbers(DEFL_BEGIN, 0x8000, 2, 0x4000, 0x20000) == STUB_OK
    half = len(stream) // 2
    assert host.block(DEFL_DATA, 0, stream[:half]) == STUB_OK
    assert flash.read(0x27000, 0x1000) == bytes(0x1000)
    assert host.block(DEFL_DATA, 1, b"\xff" * 300) == STUB_OK
    assert host.numbers(FLASH_END, 1) == b"\xc7\0"
    assert host.numbers(FLASH_END, 1) == b"\xc0\0"  # not all has come


def test_stub_reads_back_by_acknowledgements(make_host: MakeHost, flash: FlashFile) -> None:
    """One packet for one acknowledgement, then the MD5; something else than an acknowledgement ends it cleanly."""
    port, host = make_host(stub=True)
    content = bytes(range(256)) * 40
    flash.write(0x1000, content)
    answers = host.ask(READ_FLASH, struct.pack("<IIII", 0x1000, len(content), 0x1000, 64))
    got = answers[1]
    while len(got) < len(content):
        host.packets.clear()
        port.write(framed(struct.pack("<I", len(got))))
        (packet,) = host.packets
        got += packet
    host.packets.clear()
    port.write(framed(struct.pack("<I", len(got))))
    assert host.packets == [hashlib.md5(content).digest()]
    host.ask(READ_FLASH, struct.pack("<IIII", 0x1000, len(content), 0x1000, 64))
    host.packets.clear()
    port.write(framed(b"enough"))
    assert host.packets == [hashlib.md5(content[:0x1000]).digest()]
    assert host.numbers(FLASH_BEGIN, 0, 0, 0x4000, 0) == STUB_OK


def test_the_rom_reads_slowly(make_host: MakeHost, flash: FlashFile) -> None:
    """The ROM gives 64 bytes at a time, filled up with zeros, and no more."""
    _, host = make_host()
    flash.write(0x1000, bytes(range(100)))
    assert host.numbers(0x0E, 0x1000, 10) == bytes(range(10)) + bytes(54) + ROM_OK
    assert host.numbers(0x0E, 0x1000, 65)[:2] == b"\x01\x09"


def test_a_soft_reset_of_the_stub_leads_back_to_the_rom(make_host: MakeHost, flash: FlashFile) -> None:
    """Sectors are erased by the stub, one and no other; after FLASH_END with a reset it is the ROM that answers."""
    port, host = make_host(stub=True)
    flash.write(0x5000, bytes(0x3000))
    assert host.numbers(ERASE_REGION, 0x6000, 0x1000) == STUB_OK
    assert flash.read(0x5000, 0x3000) == bytes(0x1000) + b"\xff" * 0x1000 + bytes(0x1000)
    assert int.from_bytes(host.ask(0x08, SYNC)[0][4:8], "little") == 0
    host.numbers(FLASH_BEGIN, 0, 0, 0x4000, 0)
    host.numbers(FLASH_END, 0)
    assert port.in_loader
    answers = host.ask(0x08, SYNC)
    assert int.from_bytes(answers[-1][4:8], "little") == 0x20120707


@pytest.mark.parametrize(
    ("chip", "base", "user", "user1", "user2", "data", "shift"),
    [("esp32", 0x3FF42000, 0x1C, 0x20, 0x24, 0x80, 8), ("esp32c3", 0x60002000, 0x18, 0x1C, 0x20, 0x58, 0)],
)
def test_flash_commands_by_registers(
    make_host: MakeHost,
    flash: FlashFile,
    chip: str,
    base: int,
    user: int,
    user1: int,
    user2: int,
    data: int,
    shift: int,
) -> None:
    """A sector is erased through the controller's registers only after "write enable", and the others stay."""
    _, host = make_host(chip)
    flash.write(0x5000, bytes(0x3000))

    def erase_sector(at: int) -> None:
        host.write_regs(
            (base + user, 1 << 31 | 1 << 30), (base + user1, 23 << 26), (base + user2, 7 << 28 | 0x20),
            (base + 4, at << shift), (base, 1 << 18),
        )  # fmt: skip

    erase_sector(0x6000)
    assert flash.read(0x5000, 0x3000) == bytes(0x3000)
    host.write_regs((base + user, 1 << 31), (base + user2, 7 << 28 | 0x06), (base, 1 << 18))
    erase_sector(0x6000)
    assert flash.read(0x5000, 0x3000) == bytes(0x1000) + b"\xff" * 0x1000 + bytes(0x1000)
    assert host.read_reg(base) & 1 << 18 == 0


def test_a_read_beyond_the_flashs_end_goes_on_at_its_beginning(flash: FlashFile) -> None:
    """As the chip does: no address that a host writes into the controller's registers is an error."""
    flash.write(0, b"begin")
    flash.write(flash.size - 3, b"end")
    assert SpiFlash(flash).command(0x03, flash.size - 3, b"", 8) == b"endbegin"


def test_watchdog_resets_the_newer_chips(make_host: MakeHost) -> None:
    """A host that can only write registers gets the program started by the RTC's watchdog."""
    port, host = make_host("esp32c3")
    assert host.write_regs((0x60008090, 1 << 31 | 5 << 28 | 2)) == ROM_OK
    assert host.write_regs((0x600080A8, 0)) == ROM_OK
    assert not port.in_loader
    port.board.console.wait_for("SPI_FAST_FLASH_BOOT")


def test_only_what_was_loaded_runs(make_host: MakeHost) -> None:
    """MEM_END with an entry where nothing lies is refused; RUN_USER_CODE leaves the stub for the program."""
    port, host = make_host()
    assert host.numbers(0x06, 0, 0x40081000)[:1] == b"\x01"
    host.run_stub()
    assert host.ask(RUN_PROGRAM) == []
    assert not port.in_loader


def test_a_power_cut_in_the_middle_of_a_block(make_host: MakeHost, flash: FlashFile) -> None:
    """The loader falls silent with the power; afterwards the flash is torn, and the board boots as from cold."""
    port, host = make_host()
    assert host.numbers(FLASH_BEGIN, 0x1000, 4, 0x400, 0x1000) == ROM_OK
    flash.cut_after(2, seed=3)
    block = b"\x5a" * 0x400
    assert host.block(FLASH_DATA, 0, block) == ROM_OK
    assert host.ask(FLASH_DATA, struct.pack("<IIII", 0x400, 1, 0, 0) + block, 0xEF) == []
    assert not port.board.powered
    assert host.ask(0x08, SYNC) == []
    port.board.power_on()
    assert flash.read(0x1000, 0x800) != block * 2
    assert not port.in_loader
    host.connect()


@pytest.mark.parametrize("stub", [False, True])
def test_no_host_can_break_it(make_host: MakeHost, flash: FlashFile, stub: bool) -> None:
    """Whatever bytes come, the loader stays and answers, and nothing beyond the flash is touched."""
    port, host = make_host(stub=stub)
    luck = random.Random(20)
    numbers = [0, 1, 0x400, 0x1000, flash.size - 0x1000, flash.size, 0xFFFFF000, 0xFFFFFFFF]
    commands = [*Command, 0x00, 0x15, 0xD4, 0xFF]
    for _ in range(1500):
        data = struct.pack("<4I", *luck.choices(numbers, k=4))[: luck.choice([0, 4, 8, 16])] + luck.randbytes(
            luck.randrange(40)
        )
        command = luck.choice(commands)
        total = checksum(data[16:]) if luck.random() < 0.5 else luck.randrange(1 << 32)
        packet = struct.pack("<BBHI", 0, command, len(data) + luck.choice([0, 0, 0, 1]), total) + data
        port.write(luck.choice([framed(packet), packet, b"\xc0" + packet[: luck.randrange(len(packet))]]))
        if not port.in_loader:
            host.connect()
    host.connect()
    assert host.numbers(0x0A, 0x40001000) == ROM_OK
