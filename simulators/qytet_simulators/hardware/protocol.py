"""The questions that the VM asks of the bench, and their form on the pipes; `vm/_bench.py` is the other end.

A question is a header (operation, number, three small numbers, payload's length, the VM's virtual time in us) and a
payload. An answer is a header (the question's number, flags, how many interrupts, a status, payload's length, time),
the interrupts (which, value, time in us) and a payload. A negative status is an errno.
"""

import struct
from collections.abc import Callable, Iterator, Sequence
from enum import IntEnum
from typing import NamedTuple

__all__ = ["Answer", "Handler", "Interrupt", "Op", "Question", "Questions", "packed"]

_HEADER = struct.Struct("<BBHiiiq")
_ANSWER = struct.Struct("<BBHiiq")
_INTERRUPT = struct.Struct("<HHq")
_LARGEST = 1 << 20
CTRL_C = 1
"""Flag of an answer: the program is to end with KeyboardInterrupt."""


class Op(IntEnum):
    """What is asked; the order is that of `vm/_bench.py`."""

    HELLO = 1
    WAIT = 2
    FLASH_WRITE = 3
    FLASH_ERASE = 4
    RESET = 5
    DEEPSLEEP = 6
    WDT = 7
    PIN_SET = 8
    PIN_GET = 9
    PIN_IRQ = 10
    PULSE = 11
    I2C = 12
    I2C_SCAN = 13
    UART_OPEN = 14
    UART_WRITE = 15
    UART_READ = 16
    UART_ANY = 17
    ADC = 18
    PWM = 19
    TIMER = 20
    RTC = 21
    RTC_MEMORY = 22
    WIFI = 23
    RESOLVE = 24
    ONEWIRE = 25
    COUNTER = 26


class Question(NamedTuple):
    """One question of the VM."""

    op: Op
    number: int
    a: int
    b: int
    c: int
    now_us: int
    data: bytes


class Answer(NamedTuple):
    """A status (negative: an errno) and bytes."""

    status: int = 0
    data: bytes = b""


class Interrupt(NamedTuple):
    """`which` is a pin, or 1000 and a timer."""

    which: int
    value: int
    at_us: int


Handler = Callable[[Question], Answer]


class Questions:
    """Takes bytes as they come off the pipe, gives whole questions."""

    def __init__(self) -> None:
        self._held = bytearray()

    def feed(self, data: bytes) -> Iterator[Question]:
        """What is complete now. Raises ValueError for what no VM of ours would say."""
        self._held += data
        while len(self._held) >= _HEADER.size:
            op, number, a, b, c, size, now = _HEADER.unpack_from(self._held)
            if not 0 <= size <= _LARGEST:
                raise ValueError(f"the VM's channel is out of step: a payload of {size} bytes")
            end = _HEADER.size + size
            if len(self._held) < end:
                return
            payload = bytes(self._held[_HEADER.size : end])
            del self._held[:end]
            yield Question(Op(op), number, a, b, c, now, payload)


def packed(number: int, answer: Answer, raised: Sequence[Interrupt], now_us: int, flags: int = 0) -> bytes:
    """An answer as it goes down the pipe."""
    head = _ANSWER.pack(number, flags, len(raised), answer.status, len(answer.data), now_us)
    return head + b"".join(_INTERRUPT.pack(*one) for one in raised) + answer.data
