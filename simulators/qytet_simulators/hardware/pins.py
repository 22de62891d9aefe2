"""Pins: levels, edges and interrupts, measured pulses, ADC and PWM."""

import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from qytet_simulators.hardware.clock import VirtualClock
from qytet_simulators.hardware.ports import Clock
from qytet_simulators.hardware.protocol import Answer, Handler, Interrupt, Op, Question
from qytet_simulators.hardware.wiring import Wiring

__all__ = ["Modulation", "Pin", "Pins"]

_OUT, _OPEN_DRAIN = 3, 7
_PULL_UP = 2
_RISING, _FALLING = 1, 2
_FULL_SCALE_V = (1.1, 1.5, 2.2, 3.9)
"""Volts at full scale by attenuation (ESP32 data sheet 4.1.2: 1.1 V reference, 0, 2.5, 6, 11 dB)."""
_SUPPLY_V = 3.3


class Modulation(NamedTuple):
    """What a PWM output does: 0 Hz is off; duty 0.0 to 1.0."""

    frequency_hz: int
    duty: float


class Pin:
    """One pin, and the PinLine of what hangs on it."""

    def __init__(self, number: int, clock: VirtualClock, edge: Callable[["Pin", int], None]) -> None:
        self.number = number
        self._clock = clock
        self._edge = edge
        self._outside: int | None = None
        self.reset()

    @property
    def clock(self) -> Clock:
        """Virtual time."""
        return self._clock

    def reset(self) -> None:
        """The board's side as after a reset: an input without interrupt."""
        self.mode, self.pull, self.out, self.trigger = 1, 0, 0, 0

    @property
    def level(self) -> int:
        """What a voltmeter would say."""
        if self.mode == _OUT:
            return self.out
        if self.mode == _OPEN_DRAIN and not self.out:
            return 0
        if self._outside is not None:
            return self._outside
        return 1 if self.pull == _PULL_UP else 0

    @property
    def driven(self) -> int | None:
        """What the board drives it to; None if it does not."""
        if self.mode == _OUT:
            return self.out
        return 0 if self.mode == _OPEN_DRAIN and not self.out else None

    def drive(self, level: int | None) -> None:
        """From outside."""
        before = self.level
        self._outside = None if level is None else int(bool(level))
        if self.level != before:
            self._edge(self, self.level)


@dataclass
class _Unit:
    """A unit of the pulse counter."""

    pin: int
    edges: int
    count: int = 0


class Pins:
    """All pins of a board."""

    def __init__(self, clock: VirtualClock, wiring: Wiring, interrupt: Callable[[Interrupt], None]) -> None:
        self._clock = clock
        self._wiring = wiring
        self._interrupt = interrupt
        self._pins: dict[int, Pin] = {}
        self.pwm: dict[int, Modulation] = {}
        """What each PWM output does now."""
        self._units: dict[int, _Unit] = {}
        self.handlers: dict[Op, Handler] = {
            Op.COUNTER: self._count,
            Op.PIN_SET: self._set,
            Op.PIN_GET: lambda question: Answer(self.pin(question.a).level),
            Op.PIN_IRQ: self._irq,
            Op.PULSE: self._pulse,
            Op.ADC: self._adc,
            Op.PWM: self._pwm,
        }

    def pin(self, number: int) -> Pin:
        """The pin of a number."""
        if number not in self._pins:
            self._pins[number] = Pin(number, self._clock, self._edge)
        return self._pins[number]

    def power_on(self) -> None:
        """Everything on the pins gets power."""
        for number, device in self._wiring.pins.items():
            device.plugged(self.pin(number))

    def reset(self) -> None:
        """All outputs become inputs, PWM and counters end."""
        self._units.clear()
        for pin in self._pins.values():
            before = pin.driven
            pin.reset()
            self._tell(pin, before)
        for number in list(self.pwm):
            self._modulate(number, 0, 0)
        self.pwm.clear()

    def _edge(self, pin: Pin, level: int) -> None:
        edge = _RISING if level else _FALLING
        for unit in self._units.values():
            unit.count += unit.pin == pin.number and bool(unit.edges & edge)
        if pin.trigger & edge:
            self._interrupt(Interrupt(pin.number, level, self._clock.now_us()))

    def _set(self, question: Question) -> Answer:
        pin = self.pin(question.a)
        before = pin.driven
        (pull,) = struct.unpack("<i", question.data)
        if question.c >= 0:
            pin.out = question.c
        if question.b >= 0:
            pin.mode = question.b
        if pull >= 0:
            pin.pull = pull
        self._tell(pin, before)
        return Answer()

    def _tell(self, pin: Pin, before: int | None) -> None:
        device = self._wiring.pins.get(pin.number)
        if device is not None and pin.driven != before:
            device.driven(pin.driven)

    def _count(self, question: Question) -> Answer:
        """Begin to count (0), read (1), end (2)."""
        if question.b == 0:
            (pin,) = struct.unpack("<i", question.data)
            self._units[question.a] = _Unit(self.pin(pin).number, question.c)
        elif question.b == 2:
            self._units.pop(question.a, None)
        unit = self._units.get(question.a)
        return Answer(unit.count if unit is not None else 0)

    def _irq(self, question: Question) -> Answer:
        self.pin(question.a).trigger = question.b
        return Answer()

    def _pulse(self, question: Question) -> Answer:
        """time_pulse_us: wait for the level, then for its end, each no longer than the limit."""
        pin, level, limit_us = self.pin(question.a), question.b, question.c
        if not self._until(pin, level, limit_us):
            return Answer(0, struct.pack("<q", -2))
        began = self._clock.now_us()
        if not self._until(pin, 1 - level, limit_us):
            return Answer(0, struct.pack("<q", -1))
        return Answer(0, struct.pack("<q", self._clock.now_us() - began))

    def _until(self, pin: Pin, level: int, limit_us: int) -> bool:
        end = self._clock.now_us() + limit_us
        while pin.level != level:
            following = self._clock.next_us()
            if following is None or following > end:
                self._clock.advance(end)
                return False
            self._clock.advance(following)
        return True

    def _adc(self, question: Question) -> Answer:
        source = self._wiring.adc.get(question.a)
        full = min(_FULL_SCALE_V[question.b & 3], _SUPPLY_V)
        volts = min(max(source() if source is not None else 0.0, 0.0), full)
        if question.c:
            return Answer(round(volts * 1e6))
        return Answer(min(int(volts / _FULL_SCALE_V[question.b & 3] * 4096), 4095))

    def _pwm(self, question: Question) -> Answer:
        self._modulate(question.a, question.b, question.c)
        return Answer()

    def _modulate(self, number: int, frequency_hz: int, duty: int) -> None:
        self.pwm[number] = Modulation(frequency_hz, duty / 65535)
        load = self._wiring.pwm.get(number)
        if load is not None:
            load.modulated(frequency_hz, duty / 65535)
