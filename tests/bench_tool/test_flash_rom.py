"""`qytet bench flash` with real esptool against the simulated ROM loader: a blank board becomes a node."""

import contextlib
import hashlib
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from qytet.errors import InputError
from qytet_bench import filesystem, layout, program
from qytet_bench import flash as flashing
from qytet_bench.esptool import Esptool, EsptoolError, Kind, Region
from qytet_bench.flash import HalfWritten, Job, MixedUpError
from qytet_bench.node import node
from qytet_bench.program import Program
from qytet_bench.progress import Shown
from qytet_simulators.hardware.rom import Act, Fault, RomPort
from qytet_simulators.hardware.rom.packets import Command
from tests.bench_tool.conftest import Plug
from tests.bench_tool.desk import WIFI_PASSWORD, Desk, firmware

MAIN = b"""import json, os
told = json.load(open("/etc/node.json"))
print("I am", told["device"], "of", told["city"], sorted(os.listdir("/")))
"""
PROGRAM = Program("9.9.9", {"qytet_node/app.mpy": bytes(range(256)) * 40}, {"main.py": MAIN})
MAC = "24:0a:c4:51:74:01"
WAIT = 60.0  # s

Limits = Callable[[float, int], None]


@pytest.fixture(autouse=True)
def _program(monkeypatch: pytest.MonkeyPatch, esptool_limits: Limits) -> None:
    """A program that says who it is; the node's own has its tests."""
    monkeypatch.setattr(program, "build", lambda: PROGRAM)


def job(desk: Desk, device: str = "node-1", board: str = "") -> Job:
    return flashing.prepare(node(desk.settings, device, board=board), desk.settings)


def flash(
    desk: Desk, port: RomPort, device: str = "node-1", **options: Any
) -> tuple[flashing.Flashed, list[str]]:
    said: list[str] = []
    done = flashing.flash(
        job(desk, device), port.url, Shown(said.append, lambda _done, _total: None), **options
    )
    return done, said


def test_a_blank_board_becomes_the_node(desk: Desk, plug: Plug) -> None:
    """One command writes image and file system, each where this chip wants it, and the board starts as the device."""
    port = plug(chip="esp32s3")
    options = ["--device", "tirana-air-01", "--board", "esp32-s3-devkitc", "--port", port.url]
    result = desk.run("flash", *options, "--json")
    assert result.exit_code == 0, result.output
    done = json.loads(result.stdout)
    assert (done["device"], done["chip"], done["mac"], done["attempts"]) == (
        "tirana-air-01",
        "esp32s3",
        MAC,
        1,
    )
    said = port.board.console.wait_for("I am tirana-air-01 of tirana", WAIT)
    assert "['a', 'data', 'etc', 'main.py', 'slot.json']" in port.board.console.wait_for("]", WAIT) + said
    credential = desk.vault.find("tirana-air-01")
    assert credential is not None
    assert credential.board == MAC
    assert "100 %" in result.stderr
    for secret in (credential.password, WIFI_PASSWORD):
        assert secret not in result.output
    port.board.power_cut()
    chip, content = port.board.flash, firmware("esp32s3")
    chip.restore()
    assert chip.read(0, len(content)) == content
    files = filesystem.read(chip.read(filesystem.DATA_AT, chip.size - filesystem.DATA_AT))
    wanted = node(desk.settings, "tirana-air-01", board="esp32-s3-devkitc").files(credential.password)
    assert files == layout.board_files(PROGRAM, wanted)


def test_a_lost_reply_is_tried_again(desk: Desk, plug: Plug, esptool_limits: Limits) -> None:
    """A reply that is lost in the middle of writing costs a second run, not the board."""
    esptool_limits(4, 30)
    port = plug(Fault(Act.LOSE_REPLY, Command.FLASH_DEFL_DATA, first=2))
    done, said = flash(desk, port)
    assert port.faults.happened == [(Act.LOSE_REPLY, Command.FLASH_DEFL_DATA)]
    assert done.attempts == 2
    assert any("Trying again" in line for line in said)
    port.board.console.wait_for("I am node-1", WAIT)


def test_what_was_not_written_right_is_not_taken_for_done(desk: Desk, plug: Plug) -> None:
    """A checksum that stays wrong fails after three runs, with words on what to do."""
    port = plug(Fault(Act.WRONG_MD5, Command.SPI_FLASH_MD5, times=0))
    path = desk.folder / "esp32.bin"
    with pytest.raises(EsptoolError) as caught:
        Esptool(port.url).write(
            "esp32", [Region(0x1000, path, path.stat().st_size)], lambda _done, _total: None
        )
    assert caught.value.kind is Kind.VERIFY
    assert caught.value.attempts == 3
    assert "--baud 115200" in caught.value.do


def test_a_board_that_does_not_answer_needs_its_button(
    desk: Desk, plug: Plug, esptool_limits: Limits
) -> None:
    """Without any answer the technician is told to hold BOOT, and nothing was written."""
    esptool_limits(2, 2)
    port = plug(Fault(Act.IGNORE, times=0))
    with pytest.raises(EsptoolError) as caught:
        flash(desk, port)
    assert caught.value.kind is Kind.NO_ANSWER
    assert "BOOT" in caught.value.do
    assert desk.vault.holder(MAC) == ""


def test_another_chip_is_refused_before_anything_is_written(desk: Desk, plug: Plug) -> None:
    """A profile's board of one chip and a board of another: both are named, and the flash stays blank."""
    port = plug(chip="esp32s3")
    with pytest.raises(InputError, match="chip is esp32s3, not esp32") as caught:
        flash(desk, port)
    assert "Nothing was written" in caught.value.why
    assert port.board.flash.read(0, 0x2000) == b"\xff" * 0x2000


def test_a_board_that_is_refused_goes_on_as_what_it_is(desk: Desk, plug: Plug) -> None:
    """A node that was plugged in by mistake is not left in its loader: it starts again."""
    port = plug()
    flash(desk, port)
    port.board.console.wait_for("I am node-1", WAIT)
    mark = len(port.board.console.text)
    with pytest.raises(MixedUpError):
        flash(desk, port, "node-2")
    port.board.console.wait_for("I am node-1", WAIT, since=mark)


def test_a_pulled_cable_is_told(desk: Desk, plug: Plug) -> None:
    """When the port vanishes while the board is written, the error says so, and the vault knows the board."""
    port = plug(Fault(Act.UNPLUG, Command.FLASH_DEFL_DATA, first=2))
    with pytest.raises(EsptoolError) as caught:
        flash(desk, port)
    assert caught.value.kind in {Kind.LOST, Kind.NO_PORT}
    assert "cable" in caught.value.do
    assert desk.vault.holder(MAC) == "node-1"


def test_ctrl_c_ends_cleanly(desk: Desk, plug: Plug) -> None:
    """Ctrl-C while writing ends esptool and leaves no file behind; until then no secret was on a command line."""
    port = plug()
    seen: list[list[str]] = []
    modes: list[int] = []

    def interrupt(done: int, total: int) -> None:
        seen.extend(_commands())
        modes.extend(file.stat().st_mode & 0o777 for file in desk.vault.folder.glob(".flash-*/*"))
        raise KeyboardInterrupt

    with pytest.raises(HalfWritten):
        flashing.flash(job(desk), port.url, Shown(lambda _text: None, interrupt))
    commands = [line for line in seen if "write-flash" in line]
    assert commands
    assert desk.vault.credential("node-1").password not in str(seen)
    assert WIFI_PASSWORD not in str(seen)
    assert modes == [0o600, 0o600]
    assert not any("esptool" in " ".join(command) for command in _commands())
    assert [path.name for path in desk.vault.folder.iterdir()] == ["node-1.json"]


def _commands() -> Iterator[list[str]]:
    """The command lines of all processes below this one; one may end while it is looked at."""
    for child in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.NoSuchProcess):
            yield child.cmdline()


@pytest.mark.parametrize(
    ("content", "sha256", "words"),
    [
        (b"PK\x03\x04" * 20, None, "no firmware image"),
        (firmware("esp32s3"), None, "made for esp32s3"),
        (firmware("esp32"), "0" * 64, "not the image"),
        (firmware("esp32"), "latest", "is none"),
        (firmware("esp32", 0x200000), None, "too large"),
        (None, None, "cannot be read"),
    ],
)
def test_only_the_right_image_is_written(
    desk: Desk, content: bytes | None, sha256: str | None, words: str
) -> None:
    """An image that is absent, changed, too large, for another chip, or none at all is refused without a board."""
    path = Path(desk.folder / "esp32.bin")
    path.unlink()
    if content is not None:
        path.write_bytes(content)
    desk.common["image"]["esp32"]["sha256"] = sha256 or hashlib.sha256(content or b"").hexdigest()
    desk.write()
    with pytest.raises(InputError, match=words):
        job(desk)


def test_a_chip_without_an_image_is_told_where_to_get_one(desk: Desk) -> None:
    """bench.toml without an image for the board's chip ends in the name of the table that it lacks."""
    del desk.common["image"]["esp32c3"]
    desk.write()
    with pytest.raises(InputError, match=r"\[image.esp32c3\]"):
        job(desk, board="esp32-c3-devkitm")
