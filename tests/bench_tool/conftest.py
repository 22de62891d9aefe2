"""A desk for each test, and a simulated board to be plugged in."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

import tests.hardware
from qytet_simulators.hardware.board import Board
from qytet_simulators.hardware.flash import FlashFile
from qytet_simulators.hardware.rom import CHIPS, Fault, RomPort
from tests.bench_tool.desk import Desk
from tests.servers.micropython import MicroPython

Plug = Callable[..., RomPort]


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    """bench.toml for the city of Tirana, with an image for each chip."""
    (tmp_path / "desk").mkdir()
    return Desk(tmp_path / "desk")


@pytest.fixture
def plug(tmp_path: Path, micropython: MicroPython) -> Iterator[Plug]:
    """`plug(*faults, chip="esp32")`: a board with a blank flash of 4 MB on a port."""
    with ExitStack() as stack:
        count = 0

        def make(*faults: Fault, chip: str = "esp32", mac: str = "") -> RomPort:
            nonlocal count
            count += 1
            flash = stack.enter_context(FlashFile(tmp_path / f"flash-{count}.bin"))
            at = CHIPS[chip].bootloader_at
            board = stack.enter_context(Board(flash, needs_image=True, bootloader_at=at))
            return stack.enter_context(RomPort(board, chip, faults))

        yield make


@pytest.fixture
def quick_esptool(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """esptool waits no longer than a simulated board takes, and does not sleep on RFC 2217."""
    (tmp_path / "esptool.cfg").write_text(
        "[esptool]\ntimeout = 0.5\nsync_timeout = 0.1\nconnect_attempts = 2\nerase_write_timeout_per_mb = 4\n"
    )
    monkeypatch.setenv("ESPTOOL_CFGFILE", str(tmp_path / "esptool.cfg"))
    monkeypatch.setenv("PYTHONPATH", str(Path(tests.hardware.__file__).parent / "quick"))
