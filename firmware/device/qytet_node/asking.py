"""Asks time servers; needed once an hour (`lent.py`).

A question goes out on a socket that never blocks; only the look-up of a name may, as the port has no other.
"""

import asyncio
import os
import socket

from qytet_node import sntp


async def ask(clock, servers, answer_ms):
    """Set the clock by the first server that is believed: (Unix ms, server); or (None, why not the last one)."""
    why = ""
    for server in servers:
        try:
            unix_ms = await _ask(clock, server, answer_ms)
            if unix_ms is not None:
                return unix_ms, server
            why = server + " is not to be believed"
        except (OSError, asyncio.TimeoutError) as error:
            why = server + ": " + (str(error) or "no answer")
    return None, why


async def _ask(clock, server, answer_ms):
    host, _, port = server.partition(":")
    address = socket.getaddrinfo(host, int(port or sntp.PORT), 0, socket.SOCK_DGRAM)[0][-1]
    line = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    try:
        line.setblocking(False)
        line.connect(address)  # answers of others are not taken
        transmit = os.urandom(8)
        asked = clock.up()
        line.send(sntp.question(transmit))
        packet = await asyncio.wait_for_ms(asyncio.StreamReader(line).read(128), answer_ms)
        away = clock.up() - asked
    finally:
        line.close()
    unix_ms = sntp.answer(packet or b"", transmit)
    if unix_ms is None or not clock.set(unix_ms + away // 2, "ntp", away // 2):
        return None
    return unix_ms + away // 2
