"""Whether the platform hears the node, stores what it says, and hears it well: every check but sensors and TLS."""

from qytet_bench.acceptance.check import Check, failed, passed, skipped
from qytet_bench.acceptance.facts import Facts, Subject

__all__ = [
    "check_backlog",
    "check_clock",
    "check_firmware",
    "check_heard",
    "check_known",
    "check_refused",
    "check_rssi",
    "check_stored",
]

RSSI_DBM = -75.0
"""Below it an ESP32's connection breaks in rain and traffic; 10 dB above where it is lost."""
_HEALTH_S = 300.0
"""Seconds between two health records."""
_OLD_S = 2 * _HEALTH_S + 60
_CLOCK_AHEAD_S, _CLOCK_BEHIND_S = 2.0, 30.0
"""A record's way through broker and database, and the time between two looks."""
_KNOWN_TIMES = {2: "by NTP", 3: "by satellites", 4: "by its host"}
_OTHER_TIMES = {0: "not known", 1: "by its own clock only", 5: "dated by the server"}
_IN_FLIGHT = 3
"""Records that are on their way at any moment."""


def check_known(subject: Subject, facts: Facts) -> Check:
    """The registry knows the device, where it is claimed to be."""
    node = subject.node
    where = f"{node.device} in {node.city}" + (f" at {node.site}" if node.site else "")
    title = "Registered"
    if facts.device is None:
        do = (
            f"Register it: `qytet bench description --device {node.device}` prints what `qytet device register -`"
            " reads; then replay what was refused: `qytet deadletter replay`."
        )
        return failed("known", title, f"there is no device {node.device}", where, do)
    seen = f"{node.device} in {facts.device['city']} at {facts.device['site']}"
    if facts.device["city"] != node.city or (node.site and facts.device["site"] != node.site):
        do = "Register it where it stands, or give the right --city and --site."
        return failed("known", title, seen, where, do)
    return passed("known", title, seen, where)


def check_heard(subject: Subject, facts: Facts) -> Check:
    """It has introduced itself, is connected, and was heard a moment ago."""
    limit = max(180.0, 3.0 * subject.report_s)
    expected, title = f"ready, heard within {limit:.0f} s", "Heard"
    device = facts.device or {}
    age = device.get("age_s")
    if age is None:
        return failed("heard", title, "never heard", expected, _LINE)
    seen = f"{device['state']}, heard {age:.0f} s ago, boot {facts.boot or 'unknown'}"
    if device["state"] != "ready" or age > limit:
        return failed("heard", title, seen, expected, _LINE)
    return passed("heard", title, seen, expected)


_LINE = "Look at `qytet bench monitor`: it says what stands between the node and the city."


def check_firmware(subject: Subject, facts: Facts) -> Check:
    """The program's version and the board are those of the settings."""
    expected, title = f"{subject.firmware} on {subject.node.board}", "Program"
    device = facts.device or {}
    if not device.get("birth_at"):
        return failed("firmware", title, "it has not introduced itself", expected, _LINE)
    seen = f"{device['firmware']} on {device['board']}"
    if seen != expected:
        do = "Bring it up to date: `qytet bench provision`, or an update from the city."
        return failed("firmware", title, seen, expected, do, settled=True)
    return passed("firmware", title, seen, expected)


def check_stored(subject: Subject, facts: Facts) -> Check:
    """A reading is in the database and young."""
    expected, title = f"a reading at most {subject.fresh_s:.0f} s old", "Stored"
    keys = [key for row in subject.profile["sensors"] for key in row["keys"] if key in facts.latest]
    if not keys:
        return failed("stored", title, "no reading of a sensor", expected, _INGEST)
    key = min(keys, key=lambda one: float(facts.latest[one]["age_s"]))
    row = facts.latest[key]
    seen = f"{key} of {row['phenomenon_time']}, {row['age_s']:.0f} s old"
    if row["age_s"] > subject.fresh_s:
        return failed("stored", title, seen, expected, _INGEST)
    return passed("stored", title, seen, expected)


_INGEST = (
    "If the node is heard, look at ingest and its dead letters: `qytet doctor`, `qytet deadletter list`."
)


def check_clock(subject: Subject, facts: Facts, youngest: float | None) -> Check:
    """Its time is known, and is the server's: `youngest` is the least age at which any reading was first seen."""
    expected = f"known; no reading from the future, one seen within {_CLOCK_BEHIND_S:.0f} s of being made"
    title = "Clock"
    keys = [key for row in subject.profile["sensors"] for key in row["keys"] if key in facts.latest]
    if not keys or youngest is None:
        seen = "no reading yet" + (f"; {facts.undated} records wait for their time" if facts.undated else "")
        return failed("clock", title, seen, expected, _TIME)
    row = facts.latest[min(keys, key=lambda one: float(facts.latest[one]["age_s"]))]
    quality = int(row["time_quality"])
    how = _KNOWN_TIMES.get(quality) or _OTHER_TIMES.get(quality, str(quality))
    seen = f"{how}; a reading was {youngest:.1f} s old when it was first seen"
    if quality not in _KNOWN_TIMES:
        return failed("clock", title, seen, expected, _TIME)
    if youngest < -_CLOCK_AHEAD_S:
        return failed(
            "clock", title, seen, expected, "Compare the server's clock and the node's time server."
        )
    if youngest > _CLOCK_BEHIND_S:
        do = "If it stays: compare the server's clock and the node's time server; or the line is that slow."
        return failed("clock", title, seen, expected, do)
    return passed("clock", title, seen, expected)


_TIME = "Open UDP port 123 outwards, or name a time server of this network under `ntp` in bench.toml."


def check_rssi(facts: Facts, least_dbm: float = RSSI_DBM) -> Check:
    """The signal at its place is strong enough."""
    expected, title = f"{least_dbm:g} dBm or more", "Signal"
    signal, untold = _told(facts, "rssi")
    if signal is None:
        return failed("rssi", title, untold, expected, _HEALTH)
    seen = f"{signal:.0f} dBm"
    if signal < least_dbm:
        do = "Turn or move node or access point, out of metal; or use a module with an external antenna."
        return failed("rssi", title, seen, expected, do)
    return passed("rssi", title, seen, expected)


_HEALTH = "It comes with the health record, five seconds after the start and then every five minutes."


def _told(facts: Facts, key: str) -> tuple[float | None, str]:
    """What the health record says of the present, or why that is not known."""
    row = facts.latest.get(key)
    if row is None or row["value"] is None:
        return None, "not told yet"
    if row["age_s"] > _OLD_S:
        return None, f"told {row['age_s'] / 60:.0f} min ago"
    return float(row["value"]), ""


def check_backlog(facts: Facts) -> Check:
    """Nothing waits on the node, and the city misses nothing of any of its boots."""
    expected, title = f"at most {_IN_FLIGHT} records on their way, none missing", "Backlog"
    waiting, untold = _told(facts, "backlog_records")
    missing = sum(int(row["missing"]) for row in facts.ledger)
    if waiting is None or not facts.ledger:
        return failed("backlog", title, untold or "nothing of it has come", expected, _HEALTH)
    dropped = sum(int(row["dropped"]) for row in facts.ledger)
    seen = f"{waiting:.0f} waiting, {missing} missing" + (
        f", {dropped} dropped by the node" if dropped else ""
    )
    if waiting > _IN_FLIGHT or missing:
        return failed("backlog", title, seen, expected, _DRAIN)
    return passed("backlog", title, seen, expected)


_DRAIN = "Wait: it sends what is old at one batch a second, and tells every five minutes how much is left."


def check_refused(facts: Facts) -> Check:
    """The platform has refused nothing of it."""
    expected, title = "no message refused", "Refused"
    rejected = sum(int(row["rejected"]) for row in facts.ledger if row["boot"] == facts.boot)
    reasons = sorted({str(row["reason"]) for row in facts.refused or ()})
    if reasons or rejected:
        count = len(facts.refused or ())
        seen = f"{count} messages ({', '.join(reasons)})" if reasons else f"{rejected} records of this boot"
        do = (
            "See docs/how-to/read-dead-letters.md; what is mended is replayed with `qytet deadletter replay`."
        )
        return failed("refused", title, seen, expected, do)
    if facts.refused is None:
        why = "without the operator's token only the ledger is seen: it shows nothing refused"
        return skipped("refused", title, why, expected, "Set QYTET_API__OPERATOR_TOKEN to look.")
    return passed("refused", title, "none", expected)
