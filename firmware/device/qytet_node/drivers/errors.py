"""What can be wrong with a sensor, in one word, and how often an exchange with it is tried."""

import asyncio

ABSENT, TIMEOUT, SHORT, CHECKSUM, RANGE, WARMING, BUSY = (
    "absent",
    "timeout",
    "short",
    "checksum",
    "range",
    "warming",
    "busy",
)


class SensorError(Exception):
    """A reading that cannot be had; `code` is one of the words above."""

    def __init__(self, code, detail=""):
        super().__init__(code + (": " + detail if detail else ""))
        self.code = code


async def tried(exchange, times=3, pause_ms=20):
    """The result of `await exchange()`, tried again on a SensorError or a bus error; the last one is raised."""
    while True:
        times -= 1
        try:
            return await exchange()
        except SensorError:
            if not times:
                raise
        except OSError as error:
            if not times:
                raise SensorError(ABSENT, "error " + str(error.errno))
        await asyncio.sleep_ms(pause_ms)
