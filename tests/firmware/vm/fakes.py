"""For the VM: buses that answer as a test says, and a way to run a driver and print what came of it."""

import asyncio
import json

from qytet_node.drivers.errors import SensorError


class Uart:
    """What is written is kept in `sent`; each write makes the next of `answers` readable (b"" is silence)."""

    def __init__(self, answers=(), first=b""):
        self.answers = list(answers)
        self.sent = []
        self._in = first

    def any(self):
        return len(self._in)

    def read(self, size):
        data, self._in = self._in[:size], self._in[size:]
        return data or None

    def write(self, data):
        self.sent.append(data)
        if self.answers:
            self._in += self.answers.pop(0)
        return len(data)


class I2C:
    """A chip: `answers` maps what was written last (bytes) to what a read gives; a list gives one after the other.

    A missing entry, or one that is None, is a chip that does not answer.
    """

    def __init__(self, address, answers):
        self.address, self.answers, self.sent = address, answers, []

    def writeto(self, address, data, stop=True):
        self._there(address)
        self.sent.append(bytes(data))
        return len(data)

    def readfrom(self, address, size, stop=True):
        self._there(address)
        answer = self.answers.get(self.sent[-1] if self.sent else b"")
        if isinstance(answer, list):
            answer = answer.pop(0)
        if answer is None:
            raise OSError(19)
        return answer[:size]

    def readfrom_into(self, address, buffer, stop=True):
        buffer[:] = self.readfrom(address, len(buffer))

    def readfrom_mem(self, address, register, size, addrsize=8):
        self.writeto(address, bytes((register,)))
        return self.readfrom(address, size)

    def writeto_mem(self, address, register, data, addrsize=8):
        self.writeto(address, bytes((register,)) + bytes(data))

    def _there(self, address):
        if address != self.address:
            raise OSError(19)


def run(*steps):
    """Await each step (a function that gives a coroutine) and print its result, or ["error", code]."""

    async def every():
        for step in steps:
            try:
                said = await step()
            except SensorError as error:
                said = ["error", error.code]
            print(json.dumps(said))

    asyncio.run(every())
