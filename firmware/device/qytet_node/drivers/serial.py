"""A UART as drivers use it: exact reads with a time limit, on top of anything that asyncio can read."""

import asyncio

from qytet_node.drivers.errors import SHORT, TIMEOUT, SensorError


class SerialPort:
    """Wraps `machine.UART` (or what behaves like it): `any()`, `read(n)`, `write(data)`."""

    def __init__(self, uart, poll_ms=5):
        self._uart = uart
        self._poll = poll_ms

    def write(self, data):
        """Send; a UART's buffer takes a sensor's command whole."""
        self._uart.write(data)

    def forget(self):
        """Throw away what came unasked."""
        while self._uart.any():
            self._uart.read(self._uart.any())

    async def exactly(self, size, timeout_ms):
        """So many bytes. Raises SensorError: `timeout` if nothing came, `short` if too little."""
        data = b""
        left = timeout_ms
        while True:
            more = self._uart.read(size - len(data)) if self._uart.any() else None
            if more:
                data += more
                if len(data) == size:
                    return data
            elif left <= 0:
                raise SensorError(SHORT if data else TIMEOUT, "%d of %d bytes" % (len(data), size))
            else:
                await asyncio.sleep_ms(self._poll)
                left -= self._poll

    async def after(self, start, size, timeout_ms):
        """A frame of `size` bytes that begins with `start`; what stands before it is passed over, a frame's length."""
        passed = 0
        seen = await self.exactly(len(start), timeout_ms)
        while seen != start:
            passed += 1
            if passed > 4 * size:
                raise SensorError(SHORT, "no beginning of a frame")
            seen = seen[1:] + await self.exactly(1, timeout_ms)
        return start + await self.exactly(size - len(start), timeout_ms)
