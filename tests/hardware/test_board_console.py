"""The console is a serial port that a technician's tools work on."""

import random
import subprocess
import sysconfig
import time
from pathlib import Path

from qytet_simulators.hardware.repl import SoftReset
from tests.hardware.conftest import MakeBoard

MPREMOTE = Path(sysconfig.get_path("scripts")) / "mpremote"


def mpremote(port: str, *words: str) -> str:
    """What it says; fails if it fails."""
    done = subprocess.run(
        [str(MPREMOTE), "connect", port, *words], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_mpremote_works_on_the_port(make_board: MakeBoard, tmp_path: Path) -> None:
    """Files go both ways, code runs, a soft reset leads back to the raw prompt without the main program."""
    board = make_board("print('main ran')\n")
    board.power_on()
    board.console.wait_for(">>> ")
    (tmp_path / "up.bin").write_bytes(bytes(range(256)) * 8)
    port = board.console.path
    mpremote(
        port, "cp", str(tmp_path / "up.bin"), ":up.bin", "+", "cp", ":up.bin", str(tmp_path / "down.bin")
    )
    assert (tmp_path / "down.bin").read_bytes() == bytes(range(256)) * 8
    mark = len(board.console.text)
    said = mpremote(
        port, "soft-reset", "exec", "import machine, os; print(machine.reset_cause(), os.listdir())"
    )
    assert said.split("\n")[0].strip() == "5 ['main.py', 'up.bin']"
    assert "main ran" not in board.console.text[mark:]
    mpremote(port, "reset")
    board.console.wait_for("main ran", since=mark)


def test_ctrl_c_ends_what_waits_and_what_computes(make_board: MakeBoard) -> None:
    """Ctrl-C interrupts a program in a wait, and one in a loop, and leaves a prompt that works."""
    board = make_board(None, stepped=True)
    board.power_on()
    board.run_for(1)
    for line in (
        b"import time; print('go'); time.sleep(10000)\r",
        b"exec('print(\\'go\\')\\nwhile True: pass')\r",
    ):
        mark = len(board.console.text)
        board.console.feed(line)
        board.console.wait_for("\r\ngo", since=mark)
        board.console.feed(b"\x03")
        board.console.wait_for("KeyboardInterrupt", since=mark)
        board.console.feed(b"print(6 * 7)\r")
        board.console.wait_for("42\r\n", since=mark)


ASKS_ALL_THE_TIME = """
import esp32, time
flash = esp32.Partition("spare", 0x200000, 0x200000, 1, 0x81)
page, number = bytearray(4096), 0
while True:
    try:
        print("round", number)
        while True:
            time.sleep_us(1)
            flash.writeblocks(0, page)
    except KeyboardInterrupt:
        number += 1
"""


def test_ctrl_c_in_the_middle_of_a_question_confuses_nobody(make_board: MakeBoard) -> None:
    """Whatever the program asks of the bench when Ctrl-C comes, question and answers stay in step."""
    board = make_board(ASKS_ALL_THE_TIME)
    board.power_on()
    moments, mark = random.Random(5), 0
    for number in range(1000):
        board.console.wait_for(f"round {number}\r\n", since=mark)
        mark = len(board.console.text)
        then = time.perf_counter() + moments.uniform(0, 0.0005)
        while time.perf_counter() < then:
            pass  # shorter than a sleep can be
        board.console.feed(b"\x03")


def test_keys_after_ctrl_c_are_for_what_comes_after_it(make_board: MakeBoard) -> None:
    """What is typed behind Ctrl-C reaches the prompt, though the program that computes ends only later."""
    board = make_board("import time\nprint('go')\ntime.sleep(1)\nwhile True: pass\n")
    board.power_on()
    board.console.wait_for("go\r\n")
    board.console.feed(b"\x03print(6 * 7)\r\x03print(6 * 8)\r")
    board.console.wait_for("42\r\n")
    board.console.wait_for("48\r\n")


def test_ctrl_c_behind_a_line_interrupts_what_the_line_does(make_board: MakeBoard) -> None:
    """A line and Ctrl-C typed at once: the prompt reads the line first, and what it runs is interrupted."""
    board = make_board(None)
    board.power_on()
    board.console.wait_for(">>> ")
    board.console.feed(b"exec('while True: pass')\r\x03print(6 * 7)\r")
    board.console.wait_for("\n42\r\n")


def test_many_ctrl_c_interrupt_once_and_end_nothing(make_board: MakeBoard) -> None:
    """Someone who leans on Ctrl-C gets a prompt, never a board that begins anew."""
    board = make_board(None)
    board.power_on()
    board.console.wait_for(">>> ")
    for _ in range(3):
        mark = len(board.console.text)
        board.console.feed(b"exec('print(\\'go\\')\\nwhile True: pass')\r")
        board.console.wait_for("\ngo\r\n", since=mark)
        board.console.feed(b"\x03" * 20 + b"print(6 * 7)\r")
        board.console.wait_for("\n42\r\n", since=mark)
    assert not board.events.all("soft_reset")


def test_keys_that_nobody_reads_do_not_keep_ctrl_c_back(make_board: MakeBoard) -> None:
    """A program that reads no keys can be interrupted, however many were typed before."""
    board = make_board("print('go')\nwhile True: pass\n")
    board.power_on()
    board.console.wait_for("go\r\n")
    board.console.feed(b"#" * 10000)
    board.console.feed(b"\r\x03print(6 * 7)\r")
    board.console.wait_for("\n42\r\n")


def test_a_program_that_prints_for_ever_leaves_the_bench_to_others(make_board: MakeBoard) -> None:
    """What it says does not keep the bench from serving, and Ctrl-C ends it."""
    board = make_board("while True: print('again and again')\n")
    board.power_on()
    board.console.wait_for("again and again\r\n" * 5000)
    assert board.call(lambda: board.running)
    board.console.feed(b"\x03")
    board.console.wait_for(">>> ")


def test_the_prompt_leaves_nothing_on_the_machine(make_board: MakeBoard) -> None:
    """What is typed at a board's prompt is kept in no file of the machine that it runs on."""
    board = make_board(None)
    board.power_on()
    board.console.wait_for(">>> ")
    board.console.feed(b"import os; print('home', os.getenv('HOME'))\r")
    board.console.wait_for("\nhome None\r\n")


def test_ctrl_d_starts_the_program_again(make_board: MakeBoard) -> None:
    """A soft reset at the friendly prompt runs main.py, with the cause of a soft reset."""
    board = make_board("import machine\nprint('cause', machine.reset_cause())\n")
    board.power_on()
    board.console.wait_for("cause 1\r\n")
    board.console.wait_for(">>> ")
    board.console.feed(b"\x04")
    said = board.console.wait_for("cause 5\r\n")
    assert "MPY: soft reboot\r\n" in said


def test_what_is_said_on_the_way_to_the_raw_prompt_is_heard_at_once() -> None:
    """After a soft reset from the raw prompt only the VM's banner is kept back, however much boot.py says before it."""
    said, typed = bytearray(), bytearray()
    soft = SoftReset(said.extend, typed.extend)
    soft.begins_again(raw=True)
    for number in range(1000):
        soft.said(b"line %03d\r\n" % number)
    assert b"line 900" in said
    soft.said(b"MicroPython of some version\r\n>>> ")
    assert bytes(said).endswith(b"line 999\r\n")
    assert typed == b"\x01"
