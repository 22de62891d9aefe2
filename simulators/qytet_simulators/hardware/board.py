"""A simulated ESP32 on a bench: real MicroPython runs the node's code from the flash file, everything else is here.

    with Board(flash, Wiring(...), hosts={"broker.qytet.test": ("127.0.0.1", port)}) as board:
        board.power_on()
        board.console.wait_for("ready")
        board.at(3600, board.wifi_drop)          # an hour from now, in the board's time
        board.events.wait_for("watchdog")

The board's time is virtual: it flies while the program waits for nobody, and goes as on the wall while a server's
answer is due (`wires.Pace`). With `stepped`, or in `run_for`, it stands still where it was told to.
"""

import math
import struct
import time
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Self, TypeVar

from qytet_simulators.hardware.buses import I2c, OneWire
from qytet_simulators.hardware.chip import Chip, data_partition, has_firmware
from qytet_simulators.hardware.clock import Due, VirtualClock
from qytet_simulators.hardware.console import Console
from qytet_simulators.hardware.events import EventLog
from qytet_simulators.hardware.flash import FlashFile
from qytet_simulators.hardware.internet import Internet
from qytet_simulators.hardware.loop import Loop
from qytet_simulators.hardware.passage import Passage
from qytet_simulators.hardware.pins import Pins
from qytet_simulators.hardware.protocol import CTRL_C, Answer, Handler, Interrupt, Op, Question, packed
from qytet_simulators.hardware.repl import SoftReset
from qytet_simulators.hardware.serial import Serial
from qytet_simulators.hardware.sntp import TimeServer
from qytet_simulators.hardware.vm_process import VmProcess, heap_bytes
from qytet_simulators.hardware.wall import Wall
from qytet_simulators.hardware.wifi import AccessPoint, Station
from qytet_simulators.hardware.wires import Pace
from qytet_simulators.hardware.wiring import Wiring

__all__ = ["DEEPSLEEP", "HARD", "POWER_ON", "SOFT", "WATCHDOG", "Board"]

POWER_ON, HARD, WATCHDOG, DEEPSLEEP, SOFT = 1, 2, 3, 4, 5
"""Reset causes, as `machine.reset_cause()` has them."""
_ROM_SAYS = {
    POWER_ON: "rst:0x1 (POWERON_RESET),boot:0x13 (SPI_FAST_FLASH_BOOT)",
    HARD: "rst:0xc (SW_CPU_RESET),boot:0x13 (SPI_FAST_FLASH_BOOT)",
    WATCHDOG: "rst:0x8 (TG1WDT_SYS_RESET),boot:0x13 (SPI_FAST_FLASH_BOOT)",
    DEEPSLEEP: "rst:0x5 (DEEPSLEEP_RESET),boot:0x13 (SPI_FAST_FLASH_BOOT)",
}
_BOOT_US = 300_000
"""From reset to the program, about."""
_OF_FILES = (Op.FLASH_WRITE, Op.FLASH_ERASE)
"""Nothing interrupts these: in the middle of a change the file system in the VM's memory would no longer be sound."""
_HELLO = struct.Struct("<iiiiq6s")
_Answer = TypeVar("_Answer")


class Board:
    """A context manager; it has power only after `power_on`. All methods may be called from any thread.

    `hosts`: see `internet.Internet`. `heap_kb`: what the chip leaves to a program. `start_unix_ms`: the true time of
    day when the bench is made (now, if None). `speed`: how many times faster than on the wall at most. `needs_image`:
    without an image at `bootloader_at` the board boots no program, as after `erase-flash`. `hold()`: while true, time
    goes as on the wall (a server is still at work); asked often, so it must be quick.
    """

    def __init__(
        self,
        flash: FlashFile,
        wiring: Wiring | None = None,
        *,
        hosts: Mapping[str | tuple[str, int], tuple[str, int]] | None = None,
        access_point: AccessPoint | None = None,
        time_server: TimeServer | None = None,
        pace: Pace | None = None,
        hold: Callable[[], bool] | None = None,
        mac: str = "24:0a:c4:51:74:01",
        heap_kb: int = 110,
        start_unix_ms: int | None = None,
        speed: float = math.inf,
        stepped: bool = False,
        needs_image: bool = False,
        bootloader_at: int = 0x1000,
    ) -> None:
        self.flash, self.wiring = flash, wiring or Wiring()
        self.mac, self._heap_kb = mac, heap_kb
        self._needs_image, self._bootloader_at = needs_image, bootloader_at
        self.clock = VirtualClock(int(time.time() * 1000) if start_unix_ms is None else start_unix_ms)
        self.events = EventLog()
        wall = Wall()
        self._passage = Passage(
            self.clock,
            wall,
            lambda question: self._say(question, Answer()),
            lambda: self.internet.busy_until,
            hold=hold or (lambda: False),
            speed=speed,
            stepped=stepped,
        )
        self._loop = Loop("simulated board", self._step, self._failed)
        self.console = Console(self._loop, self._typed, lambda text: self._happened("line", text=text))
        self._soft = SoftReset(self.console.say, self._type)
        self.chip = Chip(self.clock, flash, self._interrupt, self._cut, self._bitten)
        self.pins = Pins(self.clock, self.wiring, self._interrupt)
        self.serial = Serial(self.clock, self.wiring, self._passage.news)
        self.time_server = time_server or TimeServer()
        self.internet = Internet(
            self._loop, self.clock, wall, hosts or {}, self.time_server, pace or Pace(), self._passage.news
        )
        self.wifi = Station(
            self.clock,
            access_point or AccessPoint(),
            self.internet.set_link,
            lambda words: self._happened("wifi", what=words),
        )
        self._handlers: dict[Op, Handler] = {
            **self.chip.handlers,
            **self.pins.handlers,
            **self.serial.handlers,
            **self.internet.handlers,
            **self.wifi.handlers,
            **I2c(self.clock, self.wiring).handlers,
            **OneWire(self.clock, self.wiring).handlers,
        }
        self._vm: VmProcess | None = None
        self._powered = False
        self._cause = POWER_ON
        self._main = True
        self._boot: Due | None = None

    def __enter__(self) -> Self:
        heap_bytes(self._heap_kb)  # is there a VM at all? Better said here than in the bench's thread
        self._loop.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if self._loop.failure is None:
                self._loop.call(self._close)
        finally:
            self._loop.stop()
            self._close()
            self.console.close()
        if self._loop.failure is not None:
            raise RuntimeError("the bench has ended") from self._loop.failure

    # ---- power and resets

    @property
    def powered(self) -> bool:
        """Whether there is power."""
        return self._powered

    @property
    def running(self) -> bool:
        """Whether a program runs (or waits at the prompt)."""
        return self._vm is not None

    def power_on(self) -> None:
        """Give power: devices wake cold, the board boots."""
        self.call(self._power_on)

    def power_cut(self, after_flash_operations: int | None = None, seed: int = 0) -> None:
        """Take the power away, now or in the middle of the n-th flash write or erase from now (event `power_cut`)."""
        if after_flash_operations is None:
            self.call(self._cut)
        else:
            self.call(lambda: self.flash.cut_after(after_flash_operations, seed))

    def reset_button(self) -> None:
        """Press EN: like a power-on for the processor; devices keep their power."""
        self.call(lambda: self._reset(POWER_ON))

    def hold_in_reset(self) -> None:
        """Keep EN low, or the ROM loader at work: no program runs until `release`."""
        self.call(self._stop_program)

    def release(self) -> None:
        """Let the board boot again after `hold_in_reset`."""
        self.call(lambda: self._reset(POWER_ON))

    # ---- time

    def now_s(self) -> float:
        """Virtual seconds since the bench was made."""
        return self.clock.now_us() / 1e6

    def at(self, in_s: float, act: Callable[[], None]) -> Due:
        """Do something so many virtual seconds from now, in the bench's thread; it must be quick."""
        return self.call(lambda: self.clock.call_at(self.clock.now_us() + int(in_s * 1e6), act))

    def run_for(self, seconds: float, deadline_s: float = 200.0) -> None:
        """Let so many virtual seconds go by; then time stands still until the next `run_for` or `let_run`.

        Raises TimeoutError if they have not gone by after `deadline_s` real seconds.
        """
        until = self._passage.after(int(seconds * 1e6))
        self.call(lambda: self._passage.limit(until))
        if not self._passage.stands(until, deadline_s):
            raise TimeoutError(
                f"the board is {(until - self.clock.now_us()) / 1e6:.3f} s short of where it should be, "
                f"after {deadline_s} s on the wall"
            )

    def let_run(self) -> None:
        """No longer stop."""
        self.call(lambda: self._passage.limit(None))

    @property
    def waited_s(self) -> float:
        """Real seconds for which the board's time was held to the wall's."""
        return self._passage.real_s

    # ---- faults of the network; others are attributes of `access_point` (`wifi.point`) and `time_server`

    def wifi_drop(self) -> None:
        """The network goes."""
        self.call(self.wifi.drop)

    def wifi_restore(self) -> None:
        """It is back."""
        self.call(self.wifi.restore)

    def call(self, act: Callable[[], _Answer]) -> _Answer:
        """Do something in the bench's thread, between two moments of the board."""
        return self._loop.call(act)

    @property
    def loop(self) -> Loop:
        """The bench's thread, for what else lives in it."""
        return self._loop

    # ---- inside: lifecycle

    def _happened(self, kind: str, **facts: object) -> None:
        self.events.add(self.clock.now_us(), kind, **facts)

    def _failed(self, error: BaseException) -> None:
        self.events.fail(error)
        self.console.fail(error)

    def _power_on(self) -> None:
        if self._powered:
            return
        self._powered = True
        self.flash.restore()
        self.chip.power_on()
        for device in self.wiring.devices():
            for name, given in (("power_cycle", ()), ("plugged", (self.clock,))):
                if hasattr(device, name):
                    getattr(device, name)(*given)
        self.pins.power_on()
        self.serial.power_on()
        self._happened("power_on")
        self._reset(POWER_ON)

    def _cut(self) -> None:
        if not self._powered:
            return
        self._stop_program()
        self._powered = False
        self.chip.power_off()
        self._happened("power_cut", flash_operations=self.flash.operations)

    def _bitten(self) -> None:
        self._happened("watchdog", limit_ms=self.chip.watchdog_ms)
        self._reset(WATCHDOG)

    def _stop_program(self) -> None:
        vm, self._vm = self._vm, None
        if self._boot is not None:
            self._boot.cancel()
            self._boot = None
        if vm is not None:
            vm.kill()
        self._passage.forget()
        self.chip.reset()
        self.wifi.reset()
        self.internet.power_off()
        self.pins.reset()
        self.serial.reset()

    def _reset(self, cause: int, in_us: int = 0) -> None:
        """Begin anew after `in_us`, with the ROM's words on the console."""
        if not self._powered:
            return
        self._stop_program()
        self._cause, self._main = cause, True
        self._soft.forget()
        self._boot = self.clock.call_at(self.clock.now_us() + in_us + _BOOT_US, self._begin)

    def _begin(self) -> None:
        self._boot = None
        if self._cause in _ROM_SAYS:
            self.console.say(b"ets Jul 29 2019 12:21:46\r\n\r\n" + _ROM_SAYS[self._cause].encode() + b"\r\n")
        if self._needs_image and not has_firmware(self.flash, self._bootloader_at):
            self.console.say(b"invalid header: 0xffffffff\r\n")
            self._happened("no_firmware")
            return
        self._spawn()

    def _spawn(self) -> None:
        self._happened("boot", cause=self._cause)
        self._passage.heard()
        self._vm = VmProcess(
            self._loop, self.flash.path, self._heap_kb, self._asked, self._soft.said, self._ended
        )

    def _ended(self, code: int) -> None:
        """The program left its prompt, or the VM died: what the port does after that."""
        if code in (0, 1, -2):  # SystemExit, Ctrl-D; two Ctrl-C at once
            self._soft_reset()
        else:
            self._happened("crash", code=code)
            self._reset(HARD)

    def _soft_reset(self) -> None:
        """The program begins anew; from the raw prompt without its main.py, and back at that prompt."""
        raw = self._soft.raw
        self._stop_program()
        self._happened("soft_reset")
        self.console.say(b"MPY: soft reboot\r\n")
        self._cause, self._main = SOFT, not raw
        self._soft.begins_again(raw)
        self._boot = self.clock.call_at(self.clock.now_us(), self._begin)

    def _close(self) -> None:
        self._stop_program()
        self._powered = False
        self.internet.close()

    # ---- inside: the program's questions

    def _asked(self, question: Question) -> None:
        vm = self._vm
        self._passage.heard()
        self.clock.advance(question.now_us)
        if vm is None or vm is not self._vm:
            return  # what was due meanwhile has ended it
        if question.op is Op.WAIT:
            vm.keys.booted = True  # the first thing that is asked once the files are mounted
            vm.hear_out()  # said before it waits, so it counts as heard before time goes on
            self._passage.wait(question)
            self._interrupt_what_waits()
            return
        answer = self._answered(question)
        if vm is self._vm and answer is not None:
            self._say(question, answer)

    def _answered(self, question: Question) -> Answer | None:
        """None if the question ended the program."""
        if question.op is Op.HELLO:
            return self._hello()
        if question.op is Op.RESET:
            if question.a:
                self._soft_reset()
            else:
                self._happened("reset")
                self._reset(HARD)
            return None
        if question.op is Op.DEEPSLEEP:
            self._sleep(struct.unpack("<q", question.data)[0])
            return None
        return self._handlers[question.op](question)

    def _hello(self) -> Answer:
        offset, size = data_partition(self.flash)
        mac = bytes.fromhex(self.mac.replace(":", ""))
        return Answer(0, _HELLO.pack(self._cause, int(self._main), offset, size, self.chip.rtc_us, mac))

    def _sleep(self, us: int) -> None:
        self._happened("deepsleep", ms=us // 1000)
        if us:
            self._reset(DEEPSLEEP, us)
        else:
            self._stop_program()

    def _say(self, question: Question, answer: Answer) -> None:
        self._passage.heard()
        if self._vm is None:
            return
        raised, flags = [], 0
        if question.op not in _OF_FILES:
            raised, flags = self._passage.raised(), CTRL_C if self._vm.keys.take_ctrl_c() else 0
        self._vm.answer(packed(question.number, answer, raised, self.clock.now_us(), flags))

    def _interrupt(self, interrupt: Interrupt) -> None:
        if self._vm is not None:
            self._passage.interrupt(interrupt)

    def _step(self, idle: bool) -> float | None:
        if self._vm is not None:
            self._vm.keys.press()
        return self._passage.step(idle, self._vm, boots=self._boot is not None)

    def _typed(self, data: bytes) -> None:
        self._soft.typed(data)
        self._type(data)
        self._interrupt_what_waits()

    def _interrupt_what_waits(self) -> None:
        waits = self._passage.waits
        if waits is not None and self._vm is not None and self._vm.keys.ctrl_c_waits:
            self._say(waits, Answer())

    def _type(self, data: bytes) -> None:
        if self._vm is not None and data:
            self._vm.keys.type(data)
