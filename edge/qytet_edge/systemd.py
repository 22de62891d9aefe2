"""What systemd is told: ready, stopping, still alive. Nothing happens where it did not start us.

The protocol is sd_notify(3): one datagram of `KEY=value` lines to the socket that NOTIFY_SOCKET names.
"""

import asyncio
import os
import socket
from collections.abc import Awaitable, Callable, Mapping
from typing import Self

from qytet import log

__all__ = ["Systemd"]

_EXTEND_S = 20.0
_SAY_S = 2.0  # that a busy manager may take to make room for a word
_PIECE_S = 120.0
"""What one piece of work may take at the start: a slow SD card's check of a spool ends within half a minute."""

_log = log.get("systemd")


class Systemd:
    """The connection to the manager that started us, if one did; a context manager."""

    def __init__(self, environment: Mapping[str, str] = os.environ) -> None:
        self._address = environment.get("NOTIFY_SOCKET", "")
        self._socket: socket.socket | None = None
        self.watchdog_s = _watchdog_s(environment)

    def __enter__(self) -> Self:
        if self._address:
            self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
        return self

    def __exit__(self, *_: object) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def say(self, *lines: str, patience_s: float = _SAY_S) -> None:
        """Send lines such as `READY=1`; a manager that does not listen is no reason to fail.

        While a computer starts the manager may be too busy to take more: what is said once waits a little for that.
        """
        if self._socket is None:
            return
        self._socket.settimeout(patience_s)
        address = "\0" + self._address[1:] if self._address.startswith("@") else self._address
        try:
            self._socket.sendto("\n".join(lines).encode(), address)
        except OSError as error:
            _log.warning("systemd does not listen", why=str(error))

    async def extend(self, busy_s: Callable[[], float], every_s: float = _EXTEND_S) -> None:
        """Ask for more time to start, for ever, while each piece of the work (`busy_s`: its age) ends in time."""
        while True:
            await asyncio.sleep(every_s)
            if busy_s() < _PIECE_S:
                self.say(f"EXTEND_TIMEOUT_USEC={round((_EXTEND_S + _PIECE_S) * 1_000_000)}", patience_s=0)

    async def feed(self, alive: Callable[[], Awaitable[str]]) -> None:
        """Feed the watchdog three times a period while `alive` answers "" (or says why not) in time; for ever."""
        period = self.watchdog_s
        if period is None:
            return
        while True:
            try:
                async with asyncio.timeout(period / 3):
                    why = await alive()
            except TimeoutError:
                why = "no answer"
            if why:
                _log.error("watchdog not fed", why=why)
            else:
                self.say("WATCHDOG=1", patience_s=0)  # the next one comes soon
            await asyncio.sleep(period / 3)


def _watchdog_s(environment: Mapping[str, str]) -> float | None:
    """Seconds within which the watchdog wants to be fed; None if it is not for us."""
    try:
        microseconds = int(environment.get("WATCHDOG_USEC", "0"))
        ours = int(environment.get("WATCHDOG_PID", str(os.getpid()))) == os.getpid()
    except ValueError:
        return None
    return microseconds / 1_000_000 if microseconds > 0 and ours else None
