"""A desk for each test, and a simulated board to be plugged in."""

import functools
import json
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

import tests.hardware
from qytet_bench import flash as flashing
from qytet_bench.esptool import Esptool
from qytet_simulators.hardware.board import Board
from qytet_simulators.hardware.flash import FlashFile
from qytet_simulators.hardware.rom import CHIPS, Fault, RomPort
from tests.bench_tool import fake_esptool
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
def esptool_limits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[float, int], None]:
    """`limit(timeout_s, connects)`: how long esptool waits for an answer, and how often it tries to connect.

    Without a call both are much: a machine that stands still for a moment is no board that does not answer. On RFC 2217
    it does not sleep.
    """
    monkeypatch.setenv("ESPTOOL_CFGFILE", str(tmp_path / "esptool.cfg"))
    monkeypatch.setenv("PYTHONPATH", str(Path(tests.hardware.__file__).parent / "quick"))

    def limit(timeout_s: float, connects: int) -> None:
        (tmp_path / "esptool.cfg").write_text(
            f"[esptool]\ntimeout = {timeout_s}\nsync_timeout = 0.1\nconnect_attempts = {connects}\n"
            "erase_write_timeout_per_mb = 4\n"
        )

    limit(60, 30)
    return limit


@dataclass
class FakeBoards:
    """Boards by port for the stand-in of esptool; `runs` of a board: what its next runs end with (None: well)."""

    state: Path

    @property
    def all(self) -> dict[str, Any]:
        return dict(json.loads(self.state.read_text())) if self.state.exists() else {}

    def plug(self, port: Path, mac: str, *runs: list[str] | None, chip: str = "ESP32-D0WD-V3") -> str:
        """A board that hangs on this port now."""
        port.touch()
        board = {"chip": chip, "mac": mac, "size": "4MB", "runs": list(runs)}
        self.state.write_text(json.dumps({**self.all, str(port): board}))
        return str(port)

    def written(self) -> list[str]:
        """The ports whose boards were written, in no order."""
        return [
            port
            for port, board in self.all.items()
            if any("write-flash" in run for run in board.get("argv", ()))
        ]


@pytest.fixture
def boards(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeBoards:
    """Boards without a protocol: the bench starts `fake_esptool.py` as esptool."""
    monkeypatch.setenv("FAKE_BOARDS", str(tmp_path / "boards.json"))
    program = (sys.executable, fake_esptool.__file__)
    monkeypatch.setattr(flashing, "Esptool", functools.partial(Esptool, program=program))
    return FakeBoards(tmp_path / "boards.json")
