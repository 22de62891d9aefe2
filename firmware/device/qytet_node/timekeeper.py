"""Sets the clock: from the chip's own clock after a restart, from time servers, and again every hour.

A question goes out on a socket that never blocks; only the look-up of a name may, as the port has no other.
"""

import asyncio
import os
import socket

from qytet_node import sntp

ANSWER_MS = 3000
AGAIN_S, FIRST_AGAIN_S = 3600, 600
"""A cheap crystal is off by 50 ppm: 180 ms in an hour."""
_LOOK_MS = 30000


class Timekeeper:
    """`servers` are names or addresses, "host" or "host:port"; `on_set(unix_ms)` hears of every time that is believed.

    With `needed` nothing is sent before the time is known: certificates cannot be checked without.
    """

    def __init__(self, clock, servers, on_set=None, needed=True):
        self._clock, self._servers, self._on_set, self._needed = clock, servers, on_set, needed
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
        for server in self._servers:
            try:
                if await self._ask(server):
                    self.server = server
                    return True
                self.why = server + " is not to be believed"
            except (OSError, asyncio.TimeoutError) as error:
                self.why = server + ": " + (str(error) or "no answer")
        return False

    async def run(self, link):
        """Ask again every hour while there is a network, sooner after the first time: so the drift is known."""
        first = True
        while True:
            await asyncio.sleep_ms(_LOOK_MS)
            age = self._clock.age_s()
            limit = FIRST_AGAIN_S if first else AGAIN_S
            if self._answered and age is not None and age >= limit and link.is_up:
                first = not await self.ask() and first

    async def _ask(self, server):
        host, _, port = server.partition(":")
        address = socket.getaddrinfo(host, int(port or sntp.PORT), 0, socket.SOCK_DGRAM)[0][-1]
        line = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        try:
            line.setblocking(False)
            line.connect(address)  # answers of others are not taken
            transmit = os.urandom(8)
            asked = self._clock.up()
            line.send(sntp.question(transmit))
            packet = await asyncio.wait_for_ms(asyncio.StreamReader(line).read(128), ANSWER_MS)
            away = self._clock.up() - asked
        finally:
            line.close()
        unix_ms = sntp.answer(packet or b"", transmit)
        if unix_ms is None or not self._clock.set(unix_ms + away // 2, "ntp", away // 2):
            return False
        if self._on_set is not None:
            self._on_set(unix_ms + away // 2)
        return True
