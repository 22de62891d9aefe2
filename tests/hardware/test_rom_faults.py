"""What goes wrong between esptool and a board: what esptool says, and that one more run puts it right."""

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from qytet_simulators.hardware.flash import FlashFile
from qytet_simulators.hardware.rom import Act, Fault, Faults, RomPort
from qytet_simulators.hardware.rom.packets import Command
from tests.hardware.conftest import MakeBoard
from tests.hardware.esptool import Esptool, image, pieces
from tests.hardware.romhost import SYNC, Host

BLOCK, CHECK = Command.FLASH_DEFL_DATA, Command.SPI_FLASH_MD5
CONTENT = image(60_000)


@pytest.fixture
def port(make_board: MakeBoard) -> Iterator[RomPort]:
    """A blank board, plugged in."""
    with RomPort(make_board(None, needs_image=True)) as plugged:
        yield plugged


@pytest.fixture
def write(port: RomPort, tmp_path: Path) -> list[str]:
    """esptool's words to write CONTENT, in two compressed blocks."""
    (tmp_path / "image.bin").write_bytes(CONTENT)
    return ["--chip", "esp32", "write-flash", *pieces((0x1000, tmp_path / "image.bin"))]


def test_esptool_puts_small_faults_right_itself(
    port: RomPort, write: list[str], flash: FlashFile, tmp_path: Path
) -> None:
    """A sync unheard, a block refused once, noise on a block and a doubled answer end in a verified flash."""
    faults = [
        Fault(Act.IGNORE, Command.SYNC),
        Fault(Act.NOISE_IN, BLOCK, first=1),
        Fault(Act.REFUSE, BLOCK, first=2),
        Fault(Act.REPLY_TWICE, BLOCK, first=3),
    ]
    port.faults.add(*faults)
    port.enter()
    said = Esptool(tmp_path).works(port.pty, *write)
    assert [act for act, _ in port.faults.happened] == [one.act for one in faults]
    assert "Hash of data verified" in said
    assert flash.read(0x1000, len(CONTENT)) == CONTENT


def test_run_after_run_until_one_is_well(
    port: RomPort, write: list[str], flash: FlashFile, tmp_path: Path
) -> None:
    """Each fault that esptool gives up on ends its run with code 2 and a reason, and leaves the next run a chance."""
    esptool = Esptool(tmp_path, limit_s=2.0)
    for fault, reason in (
        (Fault(Act.IGNORE, Command.SYNC, times=0), "Failed to connect to ESP32: No serial data received"),
        (Fault(Act.LOSE_REPLY, BLOCK, first=2), "No more data to read from the serial port"),
        (Fault(Act.WRONG_ORDER, Command.MEM_BEGIN), "Serial data stream stopped"),
        (Fault(Act.REFUSE, BLOCK, first=2, times=3), "result was C400: Failed SPI operation"),
        (Fault(Act.WRONG_MD5, CHECK), "MD5 of file does not match data in flash!"),
    ):
        port.faults.clear()
        port.faults.add(fault)
        port.enter()
        attempts = ["--connect-attempts", "1"] if fault.command == Command.SYNC else []
        done = esptool.run(port.pty, *attempts, *write)
        assert done.code == 2, done.said
        assert reason in done.said
        assert port.faults.happened[-1] == (fault.act, fault.command)
    port.enter()
    assert "Hash of data verified" in esptool.works(port.pty, *write)
    assert flash.read(0x1000, len(CONTENT)) == CONTENT


def test_the_cable_is_pulled_and_put_back(
    port: RomPort, write: list[str], flash: FlashFile, tmp_path: Path
) -> None:
    """esptool fails as the port is gone; the flash keeps what was written; the same port, plugged in, works again."""
    url = port.url
    port.faults.add(Fault(Act.UNPLUG, BLOCK, first=2))
    port.enter()
    done = Esptool(tmp_path, attempts=1).run(port.pty, *write)
    assert done.code  # what it says depends on whose the freed name in /dev/pts is by then: nobody's, mostly
    assert not port.plugged
    assert not port.board.powered
    assert flash.read(0x1000, 0x100) == CONTENT[:0x100]
    assert flash.is_blank(0x1000 + len(CONTENT) - 0x100, 0x100)
    with pytest.raises(FileNotFoundError):
        _ = port.pty
    _check_nobody_else_can_have(int(url.rpartition(":")[2]))
    port.plug()
    assert port.url == url
    port.board.console.wait_for(">>> ")
    assert "Hash of data verified" in Esptool(tmp_path).works(url, *write)
    assert flash.read(0x1000, len(CONTENT)) == CONTENT


def _check_nobody_else_can_have(tcp_port: int) -> None:
    """It refuses whoever calls, and is free for no other program."""
    with pytest.raises(ConnectionRefusedError), socket.create_connection(("127.0.0.1", tcp_port), 60):
        pass
    with socket.socket() as other, pytest.raises(OSError, match="in use"):
        other.bind(("127.0.0.1", tcp_port))


def test_the_same_seed_brings_the_same_noise(make_board: MakeBoard) -> None:
    """A bad cable can be had again: what strikes depends on the seed and on the commands, on nothing else."""
    board = make_board(None, needs_image=True)

    def history(seed: int) -> tuple[list[tuple[Act, int]], bytes]:
        noise = Fault(Act.NOISE_OUT, times=0, chance=0.2)
        deafness = Fault(Act.IGNORE, times=5, chance=0.3)
        with RomPort(board, faults=Faults(noise, deafness, seed=seed)) as port:
            port.enter()
            host = Host(port)
            for _ in range(60):
                host.send(Command.SYNC, SYNC)
            host.leave()
            return port.faults.happened, bytes(host.said)

    first = history(1)
    assert history(1) == first
    assert history(2) != first
    acts = [act for act, _ in first[0]]
    assert acts.count(Act.IGNORE) == 5
    assert 3 < acts.count(Act.NOISE_OUT) < 25
