"""The serial line of the board: to the program's console or to the loader, as EN and GPIO0 have decided.

The two control lines act through the two transistors of Espressif's boards: EN is low while RTS is asserted and DTR
is not, GPIO0 is low while DTR is asserted and RTS is not; with both asserted neither is. EN rises slowly (10 kΩ and
1 µF), so a host that asserts both for a moment on its way from "EN low" to "GPIO0 low" holds the chip in reset
meanwhile. Source: ESP32-DevKitC V4 schematics, "Micro USB 5V & USB-UART"; esptool, "Boot Mode Selection".
"""

from collections.abc import Callable
from enum import Enum, auto

from qytet_simulators.hardware.board import Board
from qytet_simulators.hardware.rom.chips import RomChip
from qytet_simulators.hardware.rom.faults import Faults
from qytet_simulators.hardware.rom.loader import Into
from qytet_simulators.hardware.rom.session import Session

__all__ = ["Line", "Mode"]

_PROGRAM_BAUD = 115200
_TOLERANCE = 0.03
"""By how much two speeds may differ for bytes to arrive whole (half a bit in ten, at both ends)."""


class Mode(Enum):
    """Who is at the board's end of the line."""

    PROGRAM = auto()
    HELD = auto()
    LOADER = auto()


class Line:
    """Lives in the bench's thread: all methods are called there, and all listeners."""

    def __init__(
        self,
        board: Board,
        chip: RomChip,
        faults: Faults,
        on_mode: Callable[[Mode], None],
        unplug: Callable[[], None],
    ) -> None:
        self._board, self._chip, self._faults = board, chip, faults
        self._on_mode, self.unplug = on_mode, unplug
        self._listeners: list[Callable[[bytes], None]] = []
        self._session: Session | None = None
        self.mode = Mode.PROGRAM
        self.dtr = self.rts = False
        self.host_baud: int | None = None
        """The speed at the host's end; None: always that of the board."""
        self._baud: int | None = _PROGRAM_BAUD
        self._boot_held = False
        self.open = True
        board.console.listen(self._console_said)

    # ---- the host's end

    def listen(self, listener: Callable[[bytes], None]) -> Callable[[], None]:
        """Also give `listener` what the board says; returns what ends that."""
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener) if listener in self._listeners else None

    def hear(self, data: bytes) -> None:
        """The host says this."""
        self._notice()
        if not self._board.powered or self.mode is Mode.HELD or not data:
            return
        if self.mode is Mode.PROGRAM:
            if self._same_speed():
                self._board.console.feed(data)
        elif self._session is not None:
            if self._baud is None and self.host_baud is not None:
                self._baud = self.host_baud  # the ROM measures the first byte's length
                self._session.synced_at(self.host_baud)
            if self._same_speed():
                self._session.hear(data)

    def set_signals(self, dtr: bool | None = None, rts: bool | None = None) -> None:
        """Assert (true) or release control lines; None leaves one as it is."""
        self.dtr = self.dtr if dtr is None else dtr
        self.rts = self.rts if rts is None else rts
        self._notice()
        if not self._board.powered:
            return
        if self.rts and not self.dtr:
            if self.mode is not Mode.HELD:
                self._session = None
                self._board.hold_in_reset()
                self._become(Mode.HELD)
        elif self.mode is Mode.HELD and not (self.rts and self.dtr):
            self._leave_reset()

    @property
    def boot_held(self) -> bool:
        """Whether GPIO0 is low."""
        return self._boot_held or (self.dtr and not self.rts)

    def hold_boot(self, held: bool) -> None:
        """The BOOT button."""
        self._boot_held = held

    def press_reset(self) -> None:
        """The EN button, pressed and let go."""
        if self._board.powered:
            self._session = None
            self._board.hold_in_reset()
            self._leave_reset()

    # ---- the board's end: what a session does (session.World)

    def say(self, data: bytes) -> None:
        """To every listener, as it arrives there."""
        arrives = data if self._same_speed() else bytes(byte ^ 0x96 | 0x80 for byte in data)
        for listener in tuple(self._listeners):
            listener(arrives)

    def baud_changed(self, baud: int) -> None:
        """The loader's speed is another."""
        self._baud = baud

    def restart(self, into: Into) -> None:
        """The chip resets itself."""
        self._session = None
        self._board.hold_in_reset()
        self._leave_reset(into)

    def power_cut(self) -> None:
        """No power, no loader."""
        self.forget()
        self._board.power_cut()

    def forget(self) -> None:
        """The power is gone: when it is back the board boots."""
        self._session = None
        self._baud = _PROGRAM_BAUD
        self._become(Mode.PROGRAM)

    # ---- inside

    def _notice(self) -> None:
        """The board may have lost its power meanwhile, or been reset by somebody else."""
        if self.mode is not Mode.PROGRAM and (not self._board.powered or self._board.running):
            self.forget()

    def _leave_reset(self, into: Into = Into.AS_HELD) -> None:
        if into is Into.LOADER or (into is Into.AS_HELD and self.boot_held):
            self._baud = None
            self._board.console.say(self._chip.download_words)
            mac = bytes.fromhex(self._board.mac.replace(":", ""))
            self._session = Session(self._chip, mac, self._board.flash, self._faults, self)
            self._become(Mode.LOADER)
        else:
            self._baud = _PROGRAM_BAUD
            self._become(Mode.PROGRAM)
            self._board.release()

    def _become(self, mode: Mode) -> None:
        self.mode = mode
        self._on_mode(mode)

    def _console_said(self, data: bytes) -> None:
        if not self.open:
            return
        if self.mode is Mode.LOADER:  # somebody else has reset the board: it boots
            self.forget()
        self.say(data)

    def _same_speed(self) -> bool:
        if self.host_baud is None or self._baud is None:
            return True
        return abs(self.host_baud - self._baud) <= self._baud * _TOLERANCE
