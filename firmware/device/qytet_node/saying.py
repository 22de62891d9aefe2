"""Whether a line of the log may be said, and saying it; needed a few times an hour (`lent.py`)."""

from qytet_node.log import BURST

PER_MS = 30000
"""How long it takes until one more line may be said, `BURST` of them at once."""
SAME_MS = 600000
_REMEMBERED = 16


def line(log, level, text):
    """Print a line, and send it if it may be sent; `log` is `log.Log`."""
    up = log.clock.up()
    log.say("%d %s %s" % (up, level, text))
    if not _may(log, up, text):
        log.left_out += 1
        return
    if log.left_out:
        text += " (%d lines left out)" % log.left_out
        log.left_out = 0
    if log.send is not None:
        log.send(up, level, text)


def _may(log, up, text):
    before = log.seen.get(text)
    if before is not None and up - before < SAME_MS:
        return False
    gained = (up - log.at) // PER_MS
    log.tokens = min(BURST, log.tokens + gained)
    log.at += gained * PER_MS
    if not log.tokens:
        return False
    log.tokens -= 1
    if len(log.seen) >= _REMEMBERED:
        del log.seen[min(log.seen, key=lambda one: log.seen[one])]
    log.seen[text] = up
    return True
