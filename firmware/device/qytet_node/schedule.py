"""What a lamp should do at an instant, by a schedule that came in a command: no network is needed to follow it.

    {"zone": [[0, 60], [1774746000, 120]],       from that Unix second on, local time is UTC plus so many minutes
     "sun": [[1, 371, 928], [32, 351, 962], …],  day of the year, sunrise, sunset: minutes of the day in UTC
     "steps": [["sunset", -10, 100], ["22:00", 0, 70], ["00:00", 0, 50], ["sunrise", 10, 0]],
     "motion": {"level": 100, "hold_s": 180}, "unknown": 100, "dark_lux": 35}

A step is when, minutes added, and the level in % from then on. `motion` raises the level while something moves and so
long after, where a step leaves a lamp on. `unknown` is the level while nobody knows the time; with `dark_lux` only
where it is darker than that.
"""

from qytet_node.lent import lent


class Schedule:
    """A checked schedule (`planning.py`). Raises ValueError for one that makes no sense, with why."""

    def __init__(self, given):
        self.given = given
        self.zone, self.sun, self.steps, self.motion, self.unknown, self.dark_lux = lent("planning").checked(
            given
        )

    def at(self, unix_s):
        """(step in force, its level): the last one that began, of today or of yesterday."""
        unix_s = int(unix_s)
        begun = None
        for days in (1, 0):
            for number, (when, add, level) in enumerate(self.steps):
                began = self._began(unix_s - days * 86400, when, add)
                if began <= unix_s and (begun is None or began >= begun[0]):
                    begun = (began, number, level)
        if begun is None:  # a day of summer time: the step of the day before lies just ahead
            return -1, self.steps[-1][2]
        return begun[1], begun[2]

    def _began(self, unix_s, when, add):
        """Unix second at which a step begins on the day of `unix_s`."""
        if isinstance(when, int):  # minutes of the local day
            ahead = self._ahead(unix_s) * 60
            midnight = (unix_s + ahead) // 86400 * 86400
            began = midnight + (when + add) * 60
            return began - self._ahead(began - ahead) * 60
        midnight = unix_s // 86400 * 86400
        return midnight + (self._sun(unix_s, 1 if when == "sunrise" else 2) + add) * 60

    def _ahead(self, unix_s):
        minutes = self.zone[0][1]
        for since, ahead in self.zone:
            if unix_s >= since:
                minutes = ahead
        return minutes

    def _sun(self, unix_s, column):
        """Minutes of the day in UTC, between two rows of the table in a straight line, also over New Year."""
        day = _day_of_year(unix_s)
        rows = self.sun
        before, after = rows[-1], rows[0]
        for row in rows:
            if row[0] <= day:
                before = row
        for row in reversed(rows):
            if row[0] > day:
                after = row
        span = (after[0] - before[0]) % 365 or 365
        share = ((day - before[0]) % 365) / span
        return int(before[column] + (after[column] - before[column]) * min(share, 1) + 0.5)


def _day_of_year(unix_s):
    """1 to 366, by whole numbers only: ports count seconds from different years."""
    days = unix_s // 86400 + 719468  # from 0000-03-01 (Howard Hinnant's days_from_civil, public domain)
    era_day = days % 146097
    year = (era_day - era_day // 1460 + era_day // 36524 - era_day // 146096) // 365
    of_year = era_day - (365 * year + year // 4 - year // 100)  # from 1 March
    full = days // 146097 * 400 + year
    if of_year >= 306:
        return of_year - 305
    leap = full % 4 == 0 and (full % 100 != 0 or full % 400 == 0)
    return of_year + 60 + leap
