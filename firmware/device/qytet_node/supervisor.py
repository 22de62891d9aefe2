"""Whether the node lives: the watchdog is fed only while whoever must make progress does.

The watchdog is the chip's own: a program that hangs, or a driver that never comes back, ends in a restart, and every
record that was accepted is on flash. A line that stays broken for long is no fault of the program: then the chip is
restarted in order, once in `offline_s`, because a radio's firmware may be what hangs.
"""

import asyncio

FEED_MS = 5000
WATCHDOG_MS = 60000
"""Longer than the slowest look-up of a name, which blocks."""


class Supervisor:
    """`watched` are rows of (name, part, limit in ms); a part's `progress_at` is the uptime of its last progress.

    `line` has `online`; `restart(why)` is called when it was not for `offline_s`.
    """

    def __init__(self, watchdog, clock, watched, line=None, restart=None, offline_s=21600):
        self._watchdog, self._clock, self._watched = watchdog, clock, watched
        self._line, self._restart, self._offline_s = line, restart, offline_s
        self._online_at = clock.up()
        self.stuck = ""
        self.fed = 0

    async def run(self):
        """Look and feed for ever."""
        while True:
            self.look()
            await asyncio.sleep_ms(FEED_MS)

    def look(self):
        """Feed if all is well; `stuck` names who keeps it from being so."""
        now = self._clock.up()
        self.stuck = ""
        for name, part, limit in self._watched:
            if now - part.progress_at > limit:
                self.stuck = name
        if self.stuck:
            return
        self._watchdog.feed()
        self.fed += 1
        if self._line is not None and not self._line.online:
            if now - self._online_at > self._offline_s * 1000:
                self._restart("no connection for " + str(self._offline_s) + " s")
        else:
            self._online_at = now
