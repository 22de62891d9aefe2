"""`machine.UART`: a stream that asyncio can wait for."""

import io
import struct

import _bench
from _bench import ask


class UART(io.IOBase):
    """A serial port on two pins."""

    INV_TX, INV_RX = 32, 4
    RTS, CTS = 1, 2

    def __init__(self, id, baudrate=115200, bits=8, parity=None, stop=1, **options):
        self._id, self._timeout = id, 0
        self.init(baudrate, bits, parity, stop, **options)

    def init(
        self,
        baudrate=115200,
        bits=8,
        parity=None,
        stop=1,
        *,
        tx=None,
        rx=None,
        rts=None,
        cts=None,
        txbuf=256,
        rxbuf=256,
        timeout=0,
        timeout_char=0,
        invert=0,
        flow=0,
    ):
        """Open; what was received before is forgotten."""
        default = ((1, 3), (10, 9), (17, 16))[self._id]
        tx, rx = default[0] if tx is None else tx, default[1] if rx is None else rx
        self._timeout, self._baud = timeout, baudrate
        data = struct.pack(
            "<HHiiBBB", _pin(tx), _pin(rx), baudrate, rxbuf, bits, 2 if parity is None else parity, stop
        )
        ask(_bench.UART_OPEN, self._id, 1, data=data)

    def deinit(self):
        """Close."""
        ask(_bench.UART_OPEN, self._id, 0)

    close = deinit

    def any(self):
        """Bytes received and not read."""
        return ask(_bench.UART_ANY, self._id)

    def read(self, nbytes=-1):
        """What there is, up to `nbytes`, waiting no longer than the port's timeout; None if there is nothing."""
        if self._timeout and not self.any():
            _wait(self, _bench.now_us() + self._timeout * 1000)
        return ask(_bench.UART_READ, self._id, nbytes, want=True) or None

    def readinto(self, buf, nbytes=-1):
        """The same into a buffer."""
        data = self.read(len(buf) if nbytes < 0 else min(nbytes, len(buf)))
        if data is None:
            return None
        buf[: len(data)] = data
        return len(data)

    def readline(self):
        """Up to a line's end, or what there is."""
        line = b""
        while not line.endswith(b"\n"):
            one = self.read(1)
            if one is None:
                break
            line += one
        return line or None

    def write(self, buf):
        """All of it goes out, in its own time."""
        ask(_bench.UART_WRITE, self._id, data=bytes(buf))
        return len(buf)

    def txdone(self):
        """Whether everything is out."""
        return ask(_bench.UART_ANY, self._id, 1) == 0

    def flush(self):
        """Wait until everything is out."""
        _bench.sleep_us(ask(_bench.UART_ANY, self._id, 1))

    def sendbreak(self):
        """Costs its time."""
        _bench.sleep_us(20 * 1000000 // self._baud)

    def ioctl(self, request, argument):
        """As asyncio and `select` ask: 3 is poll."""
        if request == 3:
            ready = argument & 4  # it always takes bytes
            if argument & 1 and self.any():
                ready |= 1
            return ready
        return 0 if request in (1, 4) else -1  # flush, close


def _pin(what):
    return what.id if hasattr(what, "id") else what


def _wait(uart, until):
    while not _bench.wait(until) and not uart.any():
        pass
