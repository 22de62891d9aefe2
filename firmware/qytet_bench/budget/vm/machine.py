"""For the VM: the chip's buses and pins, which are there and on which nobody answers."""


class Pin:
    """A pin that keeps still."""

    IN, OUT, PULL_UP, PULL_DOWN = 0, 1, 2, 3
    IRQ_FALLING, IRQ_RISING = 2, 1

    def __init__(self, *given, **more):
        pass

    def value(self, level=None):
        return 0

    def irq(self, handler=None, trigger=0):
        pass


class I2C:
    """A bus without chips; a UART and a watchdog too, so that they take one class's memory."""

    def __init__(self, *given, **more):
        pass

    def _nobody(self, *given, **more):
        raise OSError(19)

    writeto = readfrom = readfrom_into = readfrom_mem = readfrom_mem_into = writeto_mem = _nobody

    def any(self):
        return 0

    def write(self, data):
        return len(data)

    def read(self, size=0):
        return None

    def feed(self):
        pass

    def datetime(self, when):
        pass

    def duty_u16(self, duty):
        pass


UART = WDT = RTC = PWM = I2C


def reset_cause():
    return 5


def reset():
    raise SystemExit
