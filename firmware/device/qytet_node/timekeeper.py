"""Sets the clock: from the chip's own clock after a restart, from time servers, and again every hour.

How a server is asked is in `asking.py`.
"""

import asyncio

from qytet_node.lent import lent

AGAIN_S, FIRST_AGAIN_S = 3600, 600
"""A cheap crystal is off by 50 ppm: 180 ms in an hour."""
_LOOK_S = 30


class Timekeeper:
    """`servers` are names or addresses, "host" or "host:port"; `on_set(unix_ms)` hears of every time that is believed.

    With `needed` nothing is sent before the time is known: certificates cannot be checked without.
    """

    def __init__(self, clock, servers, on_set=None, needed=True, answer_ms=3000):
        self._clock, self._servers, self._on_set, self._needed = clock, servers, on_set, needed
        self._answer_ms = answer_ms
        self.why = ""
        self.server = None
        self._answered = False

    async def known(self):
        """Return when the time is known. Raises OSError after a round of all servers, if it must be known."""
        if self._answered:
            return
        if await self.ask():
            self._answered = True
        elif self._needed and not self._clock.is_set:
            raise OSError("the time is not known: " + self.why)

    async def ask(self):
        """Ask the servers in turn until one is believed; tells whether one was."""
        unix_ms, said = await lent("asking").ask(self._clock, self._servers, self._answer_ms)
        if unix_ms is None:
            self.why = said
            return False
        self.server = said
        if self._on_set is not None:
            self._on_set(unix_ms)
        return True

    async def run(self, link):
        """Ask again every hour while there is a network, sooner after the first time: so the drift is known."""
        wait = FIRST_AGAIN_S
        while True:
            await asyncio.sleep_ms(wait * 1000)
            wait = _LOOK_S
            if self._answered and link.is_up and await self.ask():
                wait = AGAIN_S
