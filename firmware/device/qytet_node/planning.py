"""Whether a schedule makes sense (`schedule.py` says how it looks); in memory when one comes only (`lent.py`)."""

_KNOWN = ("zone", "sun", "steps", "motion", "unknown", "dark_lux")


def checked(given):
    """Its parts: zone, sun, steps, motion (level and ms, or None), unknown, dark_lux. Raises ValueError with why."""
    if not isinstance(given, dict) or not isinstance(given.get("steps"), list) or not given["steps"]:
        raise ValueError("a schedule is an object with steps")
    for name in given:
        if name not in _KNOWN:
            raise ValueError("nobody knows what " + str(name)[:32] + " is")
    zone = _numbers(given.get("zone", [[0, 0]]), "zone", 2) or [[0, 0]]
    sun = _numbers(given.get("sun", []), "sun", 3)
    unknown, dark_lux = _level(given.get("unknown", 100)), given.get("dark_lux")
    if dark_lux is not None and not isinstance(dark_lux, (int, float)):
        raise ValueError("dark_lux is no number")
    steps = [_step(step, bool(sun)) for step in given["steps"]]
    return zone, sun, steps, _motion(given.get("motion")), unknown, dark_lux


def _step(step, sun):
    if not isinstance(step, list) or len(step) != 3:
        raise ValueError("a step is when, minutes and level")
    when, add, level = step
    if isinstance(add, bool) or not isinstance(add, int) or abs(add) > 720:
        raise ValueError("minutes of a step are whole, 720 at most")
    if when in ("sunrise", "sunset"):
        if not sun:
            raise ValueError("a step by the sun needs the table sun")
        return when, add, _level(level)
    try:
        hours, minutes = (int(part) for part in when.split(":"))
    except (ValueError, AttributeError):
        raise ValueError("a step begins at HH:MM, sunrise or sunset")
    if not (0 <= hours < 24 and 0 <= minutes < 60):
        raise ValueError("no such time of the day: " + when[:8])
    return hours * 60 + minutes, add, _level(level)


def _motion(given):
    """(level, ms) or None."""
    if given is None:
        return None
    if (
        not isinstance(given, dict)
        or not isinstance(given.get("hold_s"), int)
        or not 1 <= given["hold_s"] <= 3600
    ):
        raise ValueError("motion has level and hold_s, 1 to 3600")
    return _level(given.get("level")), given["hold_s"] * 1000


def _level(value):
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value <= 100:
        raise ValueError("a level is a number from 0 to 100")
    return value


def _numbers(rows, name, width):
    if not isinstance(rows, list) or len(rows) > 400:
        raise ValueError(name + " is a table of 400 rows at most")
    before = None
    for row in rows:
        if not isinstance(row, list) or len(row) != width or not all(isinstance(one, int) for one in row):
            raise ValueError("a row of " + name + " has " + str(width) + " whole numbers")
        if before is not None and row[0] <= before:
            raise ValueError(name + " is not in order")
        before = row[0]
    return rows
