"""Sensirion SPS30 over UART: SHDLC at 115200 baud (data sheet 1.0, section 5; states of 5.2, commands of 5.3)."""

import struct
from collections.abc import Callable

from qytet_simulators.hardware.sensors.serial import SerialSensor, settled
from qytet_simulators.hardware.sensors.world import Truth
from qytet_simulators.instruments.uart import Faults

__all__ = ["Sps30"]

_FLAG, _ESCAPE, _STUFFED = 0x7E, 0x7D, b"\x7e\x7d\x11\x13"
_WRONG_LENGTH, _UNKNOWN, _ILLEGAL, _NOT_NOW = 0x01, 0x02, 0x04, 0x43
_ANSWERS_AFTER_US = 3_000  # its longest is 20 ms
_PERIOD_US = 1_000_000
_WAKE_US = 100_000
"""How long the interface listens after a first byte that woke it (5.3.6)."""
_STARTS_S = 30
"""Start-up time in clean air (table 1)."""
_STATE = tuple[int, bytes]


class Sps30(SerialSensor):
    """`truth` has pm1, pm2_5, pm4, pm10 in ug/m3 and particle_number_concentration_pm0_5 in 1/cm3.

    Until 30 s after the start of a measurement its values are too high: nobody should believe them.
    """

    baudrate = 115200
    checksum_at = -2

    def __init__(self, truth: Truth, *, faults: Faults | None = None, seed: object = 0) -> None:
        super().__init__(faults=faults, seed=seed)
        self._truth = truth
        self.cleaned = 0
        self._commands: dict[int, Callable[[bytes], _STATE]] = {
            0x00: self._start,
            0x01: self._stop,
            0x03: self._read,
            0x10: self._sleep,
            0x11: self._wake,
            0x56: self._clean,
            0xD0: self._information,
            0xD2: lambda _: (0, bytes(5)),
            0xD3: self._reset,
        }

    def power_up(self) -> None:
        """Idle."""
        self.state, self._floats = "idle", True
        self._woken_at = self._began_at = self._given = -_PERIOD_US

    def listen(self, held: bytearray) -> None:
        """Frames between two flags; asleep it hears only that something is said, and then listens for a while."""
        if self.state == "asleep" and self.now_us() - self._woken_at > _WAKE_US:
            self._woken_at = self.now_us()
            held[:] = held[held.find(_FLAG) :] if _FLAG in held[1:] else b""
        while (first := held.find(_FLAG)) >= 0:
            last = held.find(_FLAG, first + 1)
            if last < 0:
                return
            body = bytes(held[first + 1 : last])
            del held[: last + 1 if body else last]  # the end of one frame may begin the next
            if body:
                self._obey(_unstuffed(body))

    def _obey(self, frame: bytes) -> None:
        if len(frame) < 4 or ~sum(frame[:-1]) & 0xFF != frame[-1] or frame[0]:
            return
        command, length, data = frame[1], frame[2], frame[3:-1]
        if self.state == "asleep" and command != 0x11:
            return
        if length != len(data):
            state, answer = _WRONG_LENGTH, b""
        else:
            state, answer = self._commands.get(command, _unknown)(data)
        body = bytes((0, command, state, len(answer))) + answer
        self.say(_stuffed(body + bytes((~sum(body) & 0xFF,))), _ANSWERS_AFTER_US)

    def _start(self, data: bytes) -> _STATE:
        if self.state != "idle":
            return _NOT_NOW, b""
        if len(data) != 2 or data[0] != 1 or data[1] not in (3, 5):
            return _ILLEGAL, b""
        self.state, self._floats = "measuring", data[1] == 3
        self._began_at, self._given = self.now_us(), 0
        return 0, b""

    def _stop(self, _: bytes) -> _STATE:
        self.state = "idle"
        return 0, b""

    def _sleep(self, _: bytes) -> _STATE:
        if self.state != "idle":
            return _NOT_NOW, b""
        self.state, self._woken_at = "asleep", -_PERIOD_US
        return 0, b""

    def _wake(self, _: bytes) -> _STATE:
        if self.state != "asleep":
            return _NOT_NOW, b""
        self.state = "idle"
        return 0, b""

    def _clean(self, _: bytes) -> _STATE:
        if self.state != "measuring":
            return _NOT_NOW, b""
        self.cleaned += 1
        return 0, b""

    def _information(self, data: bytes) -> _STATE:
        known = {b"\x00": b"00080000\0", b"\x03": b"5174150001\0"}
        return (0, known[data]) if data in known else (_ILLEGAL, b"")

    def _reset(self, _: bytes) -> _STATE:
        self.power_up()
        return 0, b""

    def _read(self, _: bytes) -> _STATE:
        """Ten values, once a second anew; nothing in between."""
        if self.state != "measuring":
            return _NOT_NOW, b""
        number = (self.now_us() - self._began_at) // _PERIOD_US
        if number <= self._given:
            return 0, b""
        self._given = number
        truth, wrong = self._truth(), settled(self._began_at, self.now_us(), _STARTS_S)
        mass = [truth[key] * wrong for key in ("pm1", "pm2_5", "pm4", "pm10")]
        count = truth["particle_number_concentration_pm0_5"] * wrong
        values = [*mass, count, *(count * (1.1 + 0.02 * step) for step in range(4)), 0.62]
        if self._floats:
            return 0, struct.pack(">10f", *values)
        return 0, struct.pack(">10H", *(min(round(value), 65535) for value in values))


def _unknown(_: bytes) -> _STATE:
    return _UNKNOWN, b""


def _stuffed(body: bytes) -> bytes:
    data = b"".join(bytes((_ESCAPE, byte ^ 0x20)) if byte in _STUFFED else bytes((byte,)) for byte in body)
    return bytes((_FLAG,)) + data + bytes((_FLAG,))


def _unstuffed(data: bytes) -> bytes:
    found, escaped = bytearray(), False
    for byte in data:
        if byte == _ESCAPE and not escaped:
            escaped = True
            continue
        found.append(byte ^ 0x20 if escaped else byte)
        escaped = False
    return bytes(found)
