"""Ways to spoil what a message says: well-formed JSON that the contract refuses.

Left out is what only a server can judge: an unknown device, a channel nobody registered, a time that is
possible but lies ahead of the server's clock (2036, say).
"""

from collections.abc import Callable
from random import Random
from typing import Any

from qytet_contract import records

__all__ = ["RECIPES", "Change"]

Fields = dict[str, Any]
Change = Callable[[Fields, Random], Any]

_OTHER_TYPES: tuple[Any, ...] = (None, True, False, "", "1", 1.5, -1, [], [1], {}, {"a": 1}, 10**25, 1e300)
_TIMES = (
    0,
    1,
    -1,
    3600_000,
    946_684_800_000,
    978_307_199_999,
    1_767_225_600,
    4_102_444_800_000,
    10**15,
    2**63,
)
_BOOTS = ("", "9f3a01c", "9f3a01c22", "9F3A01C2", "9f3a01cg", "9f3a01c\u00eb", " f3a01c2", "0x9f3a01")
_KEYS = (
    "",
    ":",
    "pm2.5",
    "PM2_5",
    "pm2_5:",
    "pm2_5:Lane",
    "pm2_5:a:b",
    "flux_capacity",
    "pm2_5:" + "x" * 25,
    "\u00eb",
)


def type_swapped(fields: Fields, dice: Random) -> Any:
    """A field of another type."""
    return fields | {_any(fields, dice): dice.choice(_OTHER_TYPES)}


def missing(fields: Fields, dice: Random) -> Any:
    """A field is not there."""
    name = _any(fields, dice)
    return {key: value for key, value in fields.items() if key != name}


def unknown_field(fields: Fields, dice: Random) -> Any:
    """A field that the contract does not know."""
    return fields | {
        dice.choice(("V", "seq ", "time", "temp", f"x{dice.getrandbits(20)}")): dice.getrandbits(16)
    }


def renamed(fields: Fields, dice: Random) -> Any:
    """A field under another name."""
    name = _any(fields, dice)
    return {(key.upper() + "_" if key == name else key): value for key, value in fields.items()}


def wrong_version(fields: Fields, dice: Random) -> Any:
    """A contract of another version."""
    return fields | {"v": dice.choice((0, 2, -1, 10**9, "1", 1.0, None, True))}


def bad_boot(fields: Fields, dice: Random) -> Any:
    """A boot id that is none."""
    return fields | {"boot": dice.choice(_BOOTS)}


def not_an_object(fields: Fields, dice: Random) -> Any:
    """A list of values, a number, a word."""
    return dice.choice((list(fields.values()), dice.getrandbits(40), dice.getrandbits(8) / 7, str(fields)))


def bad_number(fields: Fields, dice: Random) -> Any:
    """A sequence number or an uptime out of its range."""
    name = dice.choice(("seq", "up", "lo"))
    wrong = dice.choice((-dice.getrandbits(31) - 1, records.MAX_UP + 1 + dice.getrandbits(60), 10**40))
    return _in_record(fields, name, wrong)


def bad_time(fields: Fields, dice: Random) -> Any:
    """1970, 2000, seconds for milliseconds, or beyond all use."""
    return _in_record(fields, "t", dice.choice(_TIMES))


def bad_time_quality(fields: Fields, dice: Random) -> Any:
    """A time whose quality contradicts it, or is no quality."""
    name, wrong = dice.choice(
        (("tq", "none"), ("tq", "gps"), ("tq", ""), ("t", None), ("tq", "NTP"), ("tq", 2))
    )
    return _in_record(fields, name, wrong)


def bad_key(fields: Fields, dice: Random) -> Any:
    """A property or a channel that cannot be."""
    return _in_record(fields, "m", {dice.choice(_KEYS): dice.randrange(1000) / 10})


def bad_value(fields: Fields, dice: Random) -> Any:
    """A value that is no number."""
    wrong = dice.choice(("12.3", True, False, [1], {}, {"value": 1}, "NaN", ""))
    return _in_record(fields, "m", {"pm2_5": wrong})


def bad_count(fields: Fields, dice: Random) -> Any:
    """No values, or more than a record may have."""
    if dice.random() < 0.8:
        return _in_record(fields, "m", {})
    many = {f"pm2_5:c{number}": number for number in range(records.MAX_VALUES + 1 + dice.randrange(30))}
    return _in_record(fields, "m", many)


def bad_row(fields: Fields, dice: Random) -> Any:
    """A backfill whose rows are none; other kinds get one that they must not have."""
    row = dice.choice(([], [1], [1, 2, 3, 4], {"seq": 1}, "row", None, [1, 2, 3, "ntp", {}, 6], 7))
    return fields | {"r": [row] * dice.randint(1, 5)}


def too_many_rows(fields: Fields, dice: Random) -> Any:
    """More rows than a backfill may have, or none and no `lo`."""
    if dice.random() < 0.05:
        return fields | {"r": [[1, None, 0, "none", {"pm1": 1}]] * (records.MAX_RECORDS + 1)}
    return {"v": fields["v"], "boot": fields.get("boot", "9f3a01c2"), "r": []}


RECIPES: tuple[Change, ...] = (
    type_swapped,
    missing,
    unknown_field,
    renamed,
    wrong_version,
    bad_boot,
    not_an_object,
    bad_number,
    bad_time,
    bad_time_quality,
    bad_key,
    bad_value,
    bad_count,
    bad_row,
    too_many_rows,
)
_PLACES = {"seq": 0, "t": 1, "up": 2, "tq": 3, "m": 4}


def _any(fields: Fields, dice: Random) -> str:
    return dice.choice(tuple(fields))


def _in_record(fields: Fields, name: str, wrong: Any) -> Any:
    """Change a part of the record, in every row if it is a backfill; add it where it does not belong."""
    if "r" not in fields or name not in _PLACES:
        return fields | {name: wrong}
    place = _PLACES[name]
    return fields | {"r": [[*row[:place], wrong, *row[place + 1 :]] for row in fields["r"]]}
