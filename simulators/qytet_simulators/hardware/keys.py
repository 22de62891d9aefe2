"""What is typed on the board's console, on its way to the VM: in order, and Ctrl-C when it can be had."""

import fcntl
import os
import re
import select
import signal
import struct
import subprocess
import termios
from pathlib import Path

import psutil

__all__ = ["Keys", "mark_executing"]

_CTRL_C = 3
_KEYS = 1 << 16
_CAUGHT = re.compile(r"^SigCgt:\s*([0-9a-f]+)$", re.MULTILINE)


class Keys:
    """The keyboard of a VM whose terminal has the ends `master` and `slave`, and whose questions go over `channel`."""

    def __init__(
        self, process: subprocess.Popen[bytes], master: int, slave: int, channel: tuple[int, int]
    ) -> None:
        self._process, self._master, self._slave, self._channel = process, master, slave, channel
        self._held = bytearray()
        self.booted = False
        """Whether the VM's files are the board's: a prompt before that would show those of the machine below."""

    @property
    def at_prompt(self) -> bool:
        """Whether it reads keys."""
        return not termios.tcgetattr(self._slave)[3] & termios.NOFLSH

    def type(self, data: bytes) -> None:
        """Onto its terminal, in order; Ctrl-C interrupts a program that runs, and is a key like others at the prompt.

        What a program can be interrupted with is an answer (`take_ctrl_c`) or, where it asks nothing, `interrupt`;
        keys after a Ctrl-C wait for that. As on a wire, what is too much is lost.
        """
        self._held += data[: _KEYS - len(self._held)]
        self.press()

    def press(self) -> None:
        """Give it the keys that it can have now."""
        while self._held:
            if self._held[0] != _CTRL_C:
                taken = self._press_plain(self._held.partition(b"\x03")[0])
            elif self._waits_for_keys():  # else it may still have a line to read, and to run
                taken = self._write(b"\x03")
            else:
                taken = 0 if self.booted else 1
            del self._held[:taken]
            if not taken:
                return

    def _waits_for_keys(self) -> bool:
        """Whether it has read all of its keys, and done what they are for: it sleeps over the next."""
        terminal = select.poll()
        terminal.register(self._slave, select.POLLIN)
        if not self.at_prompt or terminal.poll(0):  # asking so also brings keys along that are on their way
            return False
        try:
            return psutil.Process(self._process.pid).status() == psutil.STATUS_SLEEPING and self.at_prompt
        except psutil.Error:
            return False

    def _press_plain(self, keys: bytes | bytearray) -> int:
        """Keys before a Ctrl-C: what a program that runs has no room for is lost, and does not keep Ctrl-C back."""
        written = self._write(keys)
        return written or (0 if self.at_prompt or len(keys) == len(self._held) else len(keys))

    @property
    def ctrl_c_waits(self) -> bool:
        """Whether the program that runs is to be interrupted."""
        return self._held[:1] == b"\x03"

    def take_ctrl_c(self) -> bool:
        """Whether the program is to be interrupted with the answer that it gets now."""
        if not self.ctrl_c_waits:
            return False
        del self._held[:1]
        return True

    def interrupt(self) -> bool:
        """Interrupt a program that asks nothing, for it computes, if it is to be; tells whether it was.

        Only such a one: the VM raises KeyboardInterrupt wherever it is, be it in the middle of a question; and once it
        has left the program for its prompt, the signal would end it. So it is looked at while it stands still.
        """
        if not self.ctrl_c_waits or self.at_prompt:
            return False
        self._process.send_signal(signal.SIGSTOP)
        os.waitid(os.P_PID, self._process.pid, os.WSTOPPED | os.WEXITED | os.WNOWAIT)
        computes = self._can_be_interrupted() and not any(_unread(pipe) for pipe in self._channel)
        if computes and self.take_ctrl_c():
            self._process.send_signal(signal.SIGINT)
        self._process.send_signal(signal.SIGCONT)
        return computes

    def _can_be_interrupted(self) -> bool:
        """Whether it catches the signal, as it does while a program runs."""
        try:
            caught = _CAUGHT.search(Path(f"/proc/{self._process.pid}/status").read_text())
        except OSError:
            return False
        return caught is not None and bool(int(caught[1], 16) & 1 << signal.SIGINT - 1)

    def _write(self, data: bytes | bytearray) -> int:
        try:
            return os.write(self._master, data)
        except BlockingIOError:
            return 0


def mark_executing(slave: int) -> None:
    """A flag that the VM's prompt takes away while it reads keys, and puts back while a program runs."""
    attributes = termios.tcgetattr(slave)
    attributes[3] |= termios.NOFLSH
    termios.tcsetattr(slave, termios.TCSANOW, attributes)


def _unread(pipe: int) -> int:
    """Bytes that lie in it, and nobody has read yet."""
    (size,) = struct.unpack("i", fcntl.ioctl(pipe, termios.FIONREAD, bytes(4)))
    return int(size)
