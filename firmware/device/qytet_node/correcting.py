"""What becomes of a clock that is told the time; needed once an hour (`lent.py`)."""

UNIX_2100_MS = 4102444800000
STEP_MS = 2000
"""A change of the offset beyond this is a step and counted; below it is drift."""


def correct(clock, up, unix_ms, quality, spread_ms):
    """As `Clock.set` says, told at `up`."""
    if not clock.floor <= unix_ms < UNIX_2100_MS:
        clock.refused += 1
        return False
    offset = unix_ms - up
    if clock.offset is not None:
        change = offset - clock.offset
        if abs(change) <= spread_ms and quality == clock.quality:
            return True
        if abs(change) > STEP_MS:
            clock.steps += 1
        elif up - clock.set_at > 600000:
            sure = max(0, abs(change) - spread_ms)
            clock.drift_ppm = (sure if change > 0 else -sure) * 1e6 / (up - clock.set_at)
    clock.offset, clock.quality, clock.set_at = offset, quality, up
    return True
