"""For the VM: a clock that a test moves and a pin that it switches, with ticks that wrap as an ESP32's do."""

_WRAP = 1 << 30


class Clock:
    """`wait` moves it."""

    def __init__(self, start=_WRAP - 3000):
        self.ms = start

    def ticks_ms(self):
        return self.ms % _WRAP

    def ticks_diff(self, one, other):
        return (one - other + _WRAP // 2) % _WRAP - _WRAP // 2

    def wait(self, ms):
        self.ms += ms


class Pin:
    """Each `set` is heard at once; with `late` the interrupts wait until `serve`."""

    IRQ_FALLING, IRQ_RISING = 2, 1

    def __init__(self, level=1):
        self.level, self.handler, self.late, self.waiting = level, None, False, 0

    def value(self):
        return self.level

    def irq(self, handler=None, trigger=3):
        self.handler = handler

    def set(self, level):
        changed, self.level = level != self.level, level
        if changed and self.handler:
            if self.late:
                self.waiting += 1
            else:
                self.handler(self)

    def serve(self):
        while self.waiting:
            self.waiting -= 1
            self.handler(self)


def press(pin, clock, held_ms=100, rest_ms=200, bounces=0, active=0):
    """One pulse, with bounces 1 ms apart at both ends."""
    for level, length in ((active, held_ms), (1 - active, rest_ms)):
        for _ in range(bounces):
            pin.set(level)
            clock.wait(1)
            pin.set(1 - level)
            clock.wait(1)
        pin.set(level)
        clock.wait(length - 2 * bounces)
