"""The board's USB socket: its serial port for hosts outside (pty, RFC 2217) and inside this process.

with Board(flash, needs_image=True) as board, RomPort(board, chip="esp32") as port:
    run("esptool", "--port", port.url, "write-flash", …)     # DTR and RTS work: resets by themselves
    port.enter(); run("esptool", "--port", port.pty, "--before", "no-reset", …)
"""

import socket
import threading
import time
from collections.abc import Callable, Iterable
from types import TracebackType
from typing import Self

from qytet_simulators.hardware.board import Board
from qytet_simulators.hardware.rom.chips import RomChip, chip_named
from qytet_simulators.hardware.rom.faults import Fault, Faults
from qytet_simulators.hardware.rom.line import Line, Mode
from qytet_simulators.hardware.rom.serve import Pty, Rfc2217, reserved

__all__ = ["RomPort"]


class RomPort:
    """A context manager inside the board's. Plugging it in gives the board power; methods are for any thread.

    pyserial takes 0.1 s for every time limit that a program sets on an RFC 2217 port, and esptool sets two a command:
    it needs about 20 s by `url`, and half a second by `pty`.
    `chip`: esp32, esp32s3 or esp32c3; give the board the same `bootloader_at` (`CHIPS[chip].bootloader_at`).
    """

    def __init__(
        self, board: Board, chip: str | RomChip = "esp32", faults: Faults | Iterable[Fault] = ()
    ) -> None:
        self.board = board
        self.chip = chip_named(chip) if isinstance(chip, str) else chip
        self.faults = faults if isinstance(faults, Faults) else Faults(*faults)
        self._modes = threading.Condition()
        self._line = Line(board, self.chip, self.faults, self._mode_changed, self._vanish)
        self._pty: Pty | None = None
        self._net: Rfc2217 | None = None
        self._place: socket.socket | None = None
        self._tcp_port = 0

    def __enter__(self) -> Self:
        self.plug()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self.board.call(self._close)
        except RuntimeError:  # the bench has ended, and its board says why
            self._close()
        finally:
            if self._place is not None:
                self._place.close()

    # ---- where hosts find it

    @property
    def url(self) -> str:
        """For pyserial and esptool; DTR and RTS work. Stays the same when the cable is pulled and plugged again."""
        return f"rfc2217://127.0.0.1:{self._tcp_port}"

    @property
    def pty(self) -> str:
        """A device file; it has no DTR and RTS, so `enter` first. Another after the cable was pulled."""
        if self._pty is None:
            raise FileNotFoundError("the board is not plugged in")
        return self._pty.path

    @property
    def plugged(self) -> bool:
        """Whether the cable is in."""
        return self._net is not None

    @property
    def in_loader(self) -> bool:
        """Whether the loader answers, and not the program."""
        return self._line.mode is Mode.LOADER and self.board.powered

    def wait_for_loader(self, loader: bool = True, deadline_s: float = 60.0) -> None:
        """Return when the loader answers (or no longer does). Raises TimeoutError."""
        end = time.monotonic() + deadline_s
        with self._modes:
            while self.in_loader is not loader:
                if not self._modes.wait(end - time.monotonic()) and time.monotonic() >= end:
                    raise TimeoutError(
                        f"the board's line is still {self._line.mode.name} after {deadline_s} s"
                    )

    # ---- what hands do

    def plug(self) -> None:
        """Put the cable in; the board gets power."""
        self.board.call(self._appear)

    def unplug(self) -> None:
        """Pull the cable: the port vanishes, and the power."""
        self.board.call(self._vanish)

    def enter(self) -> None:
        """Hold BOOT, press EN, let go of both: the loader answers."""

        def press() -> None:
            self._line.hold_boot(True)
            self._line.press_reset()
            self._line.hold_boot(False)

        self.board.call(press)

    def reset(self) -> None:
        """Press EN: the program begins."""
        self.board.call(self._line.press_reset)

    # ---- for hosts in this process, such as a bridge to a browser

    def set_signals(self, dtr: bool | None = None, rts: bool | None = None) -> None:
        """Assert (true) or release control lines, both at once; None leaves one as it is."""
        self.board.call(lambda: self._line.set_signals(dtr, rts))

    def set_baud(self, baud: int | None) -> None:
        """The host's speed; at a wrong one bytes arrive garbled. None (as at first): whatever the board's is."""

        def change() -> None:
            self._line.host_baud = baud

        self.board.call(change)

    def write(self, data: bytes) -> None:
        """Send bytes to the board."""
        self.board.call(lambda: self._line.hear(data))

    def on_data(self, callback: Callable[[bytes], None]) -> Callable[[], None]:
        """Call `callback` with what the board says, in the bench's thread (be quick); returns what ends that."""
        ends = self.board.call(lambda: self._line.listen(callback))
        return lambda: self.board.call(ends)

    # ---- inside, in the bench's thread

    def _mode_changed(self, _: Mode) -> None:
        with self._modes:
            self._modes.notify_all()

    def _appear(self) -> None:
        if self._place is None:  # ours also while the cable is out
            self._place = reserved()
            self._tcp_port = self._place.getsockname()[1]
        if self._net is None:
            self._net = Rfc2217(self.board.loop, self._line, self._place)
            self._pty = Pty(self.board.loop, self._line)
        self.board.power_on()

    def _vanish(self) -> None:
        if self._net is not None and self._pty is not None:
            self._net.close()
            self._pty.close()
            self._net = self._pty = None
            self._line.forget()
            self.board.power_cut()

    def _close(self) -> None:
        """Nobody plugs anything in any more; the board keeps its power."""
        self._line.open = False
        if self._net is not None and self._pty is not None:
            self._net.close()
            self._pty.close()
            self._net = self._pty = None
