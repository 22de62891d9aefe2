"""What the device says of itself: on the console, and as lines of the city's log, at most a few a minute.

The same line is said once in ten minutes; what was left out is counted and told with the next line.
"""

BURST, PER_MS = 10, 30000
"""Lines that may come at once, and how long one more takes."""
SAME_MS = 600000
_REMEMBERED = 16


class Log:
    """`send(up, level, text)` takes a line to the city (`Uplink.log`); `say` prints one."""

    def __init__(self, clock, send=None, say=print):
        self._clock, self.send, self._say = clock, send, say
        self._tokens, self._at = BURST, clock.up()
        self._seen = {}
        self.left_out = 0

    def info(self, text):
        """Something that happened."""
        self._line("info", text)

    def warning(self, text):
        """Something that went wrong and will be tried again."""
        self._line("warning", text)

    def error(self, text):
        """Something that somebody must look after."""
        self._line("error", text)

    def _line(self, level, text):
        up = self._clock.up()
        self._say("%d %s %s" % (up, level, text))
        if not self._may(up, text):
            self.left_out += 1
            return
        if self.left_out:
            text += " (%d lines left out)" % self.left_out
            self.left_out = 0
        if self.send is not None:
            self.send(up, level, text)

    def _may(self, up, text):
        before = self._seen.get(text)
        if before is not None and up - before < SAME_MS:
            return False
        gained = (up - self._at) // PER_MS
        self._tokens = min(BURST, self._tokens + gained)
        self._at += gained * PER_MS
        if not self._tokens:
            return False
        self._tokens -= 1
        if len(self._seen) >= _REMEMBERED:
            del self._seen[min(self._seen, key=lambda one: self._seen[one])]
        self._seen[text] = up
        return True
