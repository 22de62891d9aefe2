"""What the device says of itself: on the console, and as lines of the city's log, at most a few a minute.

The same line is said once in ten minutes; what was left out is counted and told with the next line.
"""

from qytet_node.lent import lent

BURST = 10
"""Lines that may come at once."""


class Log:
    """`send(up, level, text)` takes a line to the city (`Uplink.log`); `say` prints one."""

    def __init__(self, clock, send=None, say=print):
        self.clock, self.send, self.say = clock, send, say
        self.tokens, self.at = BURST, clock.up()
        self.seen = {}
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
        lent("saying").line(self, level, text)
