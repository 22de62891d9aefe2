"""The board boots from its flash as an ESP32 does, and knows why."""

import pytest

from qytet_simulators.hardware.board import DEEPSLEEP, HARD, POWER_ON, SOFT, WATCHDOG
from qytet_simulators.hardware.flash import FlashFile
from tests.hardware.bench import filesystem, install
from tests.hardware.conftest import MakeBoard

SAY_CAUSE = "import machine\nprint('cause', machine.reset_cause(), 'memory', machine.RTC().memory())\n"


def test_blank_flash_gets_a_file_system_and_a_prompt(make_board: MakeBoard, flash: FlashFile) -> None:
    """A board whose flash is empty makes a file system with a boot.py, as stock MicroPython does."""
    board = make_board(None)
    board.power_on()
    said = board.console.wait_for(">>> ")
    assert "Performing initial setup" in said
    board.power_cut()
    flash.restore()
    with filesystem(flash) as files:
        assert files.listdir("/") == ["boot.py"]


def test_what_the_bench_wrote_runs_and_what_it_writes_the_bench_reads(
    make_board: MakeBoard, flash: FlashFile
) -> None:
    """Both sides use one and the same file system: files go from the bench to the program and back."""
    board = make_board(
        "import settings\nwith open('/answer', 'w') as file:\n    file.write(settings.WORD * 2)\nprint('written')\n",
        files={"settings.py": "WORD = 'ujë'\n", "boot.py": "print('boot first')\n"},
    )
    board.power_on()
    said = board.console.wait_for("written")
    assert said.index("boot first") < said.index("written")
    board.power_cut()
    flash.restore()
    with filesystem(flash) as files, files.open("answer", "rb") as file:
        assert file.read().decode() == "ujëujë"


def test_a_program_has_the_heap_of_an_esp32(make_board: MakeBoard) -> None:
    """What a program finds free is what `heap_kb` says, in the VM's words of 64 bits, not more and little less."""
    board = make_board("import gc\ngc.collect()\nprint('free', gc.mem_free(), 'end')\n")
    board.power_on()
    free = int(board.console.wait_for("end").split("free ")[1].split()[0])
    assert 0.92 * 110 * 1024 * 2 < free < 110 * 1024 * 2


def test_an_unmountable_file_system_is_said_for_ever(make_board: MakeBoard, flash: FlashFile) -> None:
    """Stock MicroPython does not touch a broken file system: it says so and runs nothing."""
    board = make_board("print('must not run')\n")
    flash.write(0x200000, bytes(8192))
    board.power_on()
    said = board.console.wait_for("snapshot to try to recover it.\r\nThe filesystem appears to be corrupted")
    assert "must not run" not in said


def test_without_an_image_no_program_runs(make_board: MakeBoard, flash: FlashFile) -> None:
    """An erased board says what its ROM says, and runs what was flashed after the next reset."""
    board = make_board("print('runs')\n", needs_image=True)
    board.power_on()
    board.events.wait_for("no_firmware")
    assert "invalid header: 0xffffffff" in board.console.text
    flash.write(0x1000, b"\xe9")
    board.reset_button()
    board.console.wait_for("runs")


def test_each_reset_is_known_by_its_cause(make_board: MakeBoard) -> None:
    """Every way to begin anew is told apart; only a power cut empties the RTC's memory."""
    board = make_board(
        SAY_CAUSE
        + """
import time
step = machine.RTC().memory()
machine.RTC().memory(step + b"x")
if len(step) == 0:
    machine.reset()
elif len(step) == 1:
    machine.WDT(timeout=5000)
    time.sleep(60)
elif len(step) == 2:
    machine.deepsleep(3_600_000)
elif len(step) == 3:
    raise SystemExit
print("at rest")
"""
    )
    board.power_on()
    board.console.wait_for("at rest")
    causes = [event.facts["cause"] for event in board.events.all("boot")]
    assert causes == [POWER_ON, HARD, WATCHDOG, DEEPSLEEP, SOFT]
    for cause, memory in ((1, "b''"), (2, "b'x'"), (3, "b'xx'"), (4, "b'xxx'"), (5, "b'xxxx'")):
        assert f"cause {cause} memory {memory}\r\n" in board.console.text
    bite, sleep = board.events.all("watchdog")[0], board.events.all("deepsleep")[0]
    assert bite.at_us - board.events.all("boot")[2 - 1].at_us == pytest.approx(5e6, abs=2e5)
    assert board.events.all("boot")[3].at_us - sleep.at_us == pytest.approx(3600e6, abs=1e6)
    board.power_cut()
    mark = len(board.console.text)
    board.power_on()
    board.console.wait_for("cause 1 memory b''", since=mark)


def test_a_fed_watchdog_lets_live_and_an_endless_loop_does_not(make_board: MakeBoard) -> None:
    """Feeding keeps the watchdog off for hours; a program that hangs without a word is bitten as well."""
    board = make_board("""
import machine, time
if machine.reset_cause() == machine.WDT_RESET:
    print("bitten")
else:
    dog = machine.WDT(timeout=1000)
    for _ in range(5000):
        time.sleep_ms(900)
        dog.feed()
    print("lived")
    while True:
        pass
""")
    board.power_on()
    board.console.wait_for("bitten")
    lived = board.events.wait_for("line", match=lambda event: event.facts["text"] == "lived")
    (bite,) = board.events.all("watchdog")
    assert bite.number > lived.number


@pytest.mark.parametrize("nth", [1, 2, 4, 7, 9, 12])
def test_a_power_cut_at_any_flash_operation_leaves_old_or_new(
    make_board: MakeBoard, flash: FlashFile, nth: int
) -> None:
    """A file replaced by rename is the old or the new one, whichever flash operation the power goes in."""
    board = make_board(
        """
import os
with open("/value.new", "w") as file:
    file.write("new" * 100)
os.rename("/value.new", "/value")
print("replaced")
while True:
    with open("/other", "w") as file:
        file.write("x")
""",
        files={"value": "old" * 100},
    )
    board.power_cut(after_flash_operations=nth, seed=nth)
    board.power_on()
    board.events.wait_for("power_cut")
    assert not board.powered
    flash.restore()
    with filesystem(flash) as files, files.open("value", "r") as file:
        assert file.read() in ("old" * 100, "new" * 100)


def test_what_a_program_asks_after_its_end_is_not_done(make_board: MakeBoard, flash: FlashFile) -> None:
    """A question that comes from after the instant of a power cut changes nothing: no flash, no watchdog."""
    board = make_board("""
import esp32, machine, time
dog, flash, byte = machine.WDT(timeout=60_000), esp32.Partition("spare", 0x180000, 0x1000, 1, 0x81), bytearray(1)
while True:
    for _ in range(100):
        time.ticks_us()
    flash.writeblocks(0, byte, 0)
    dog.feed()
""")
    board.power_on()
    board.at(1, lambda: board.power_cut())
    cut = board.events.wait_for("power_cut")
    assert board.call(lambda: flash.operations) == cut.facts["flash_operations"]
    assert board.call(lambda: board.chip.watchdog_ms) == 0


def test_outputs_end_with_the_program(make_board: MakeBoard) -> None:
    """After a reset every pin is an input again and PWM is off."""
    board = make_board("""
import machine
if machine.reset_cause() == machine.PWRON_RESET:
    pin, pwm = machine.Pin(4, machine.Pin.OUT, value=1), machine.PWM(machine.Pin(5), freq=1000, duty_u16=65535)
    print("on")
    input()
""")
    board.power_on()
    board.console.wait_for("on\r\n")
    assert (board.pins.pin(4).driven, board.pins.pwm[5].duty) == (1, 1.0)

    def reset() -> tuple[int | None, int]:
        board.reset_button()
        return board.pins.pin(4).driven, len(board.pins.pwm)

    assert board.call(reset) == (None, 0), "before the program begins anew"


def test_a_partition_table_on_the_flash_says_where_the_files_are(
    make_board: MakeBoard, flash: FlashFile
) -> None:
    """The file system lies where the flashed partition table has it."""
    entry = b"\xaa\x50\x01\x81" + (0x210000).to_bytes(4, "little") + (0x100000).to_bytes(4, "little")
    flash.write(0x8000, entry + b"vfs".ljust(16, b"\0") + bytes(4))
    install(
        flash, {"main.py": "import os, esp32\nprint(os.statvfs('/')[2], esp32.Partition.find(1)[0].info())\n"}
    )
    board = make_board(None)
    board.power_on()
    board.console.wait_for("256 (1, 129, 2162688, 1048576, 'vfs', False)")
