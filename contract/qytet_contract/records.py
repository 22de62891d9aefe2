"""The readings: what an `obs` and a `hist` payload may hold, built and checked the same way everywhere.

    obs   {"v":1,"boot":"9f3a01c2","seq":1042,"t":1789000000000,"up":183000,"tq":"ntp","m":{"pm2_5":12.3}}
    hist  {"v":1,"boot":"9f3a01c2","lo":17,"r":[[seq,t,up,tq,{…}],…]}

`boot`: 8 lower-case hexadecimal digits, new at every boot. `seq`: 1, 2, 3 … within a boot.
`t`: Unix milliseconds, or null before the clock is set (then `tq` is "none"). `up`: milliseconds since boot; 0 beside
a `t`: made before this boot, or nobody knows when in it (a logger's file), so that `t` minus `up` is no anchor.
A key of `m` is `property` or `property:channel`; its value a number, or null for "measured, no value".
`lo`: the lowest `seq` of that boot that the device still holds; what is below and not stored, it has lost.
"""

from qytet_contract import VERSION, codes
from qytet_contract.codes import ContractError
from qytet_contract.properties import PROPERTIES

MAX_SEQ = 2147483647
MAX_UP = 9007199254740991
TIME_FLOOR = 978307200000
"""2001-01-01T00:00Z: earlier is a clock that was never set (1970 for Unix, 2000 for an ESP32)."""
TIME_CEILING = 4102444800000
"""2100-01-01T00:00Z: later is garbage. A server also refuses what lies more than minutes ahead of it."""
MAX_VALUES = 64
MAX_RECORDS = 1000
MAX_CHANNEL = 24

OBS_FIELDS = ("v", "boot", "seq", "t", "up", "tq", "m")
_CHANNEL = "abcdefghijklmnopqrstuvwxyz0123456789-_"
_HEX = "0123456789abcdef"


def obs(
    boot: str, seq: int, t: "int | None", up: int, tq: str, m: "dict[str, float | None]"
) -> "dict[str, object]":
    """An `obs` payload, ready for a JSON writer."""
    return {"v": VERSION, "boot": boot, "seq": seq, "t": t, "up": up, "tq": tq, "m": m}


def hist(boot: str, lo: int, r: "list[list[object]]") -> "dict[str, object]":
    """A `hist` payload, ready for a JSON writer; `r` holds rows of seq, t, up, tq and m."""
    return {"v": VERSION, "boot": boot, "lo": lo, "r": r}


def check_obs(value: object) -> None:
    """Refuse anything that is not an `obs` payload. Raises ContractError."""
    fields = check_fields(value, OBS_FIELDS, ())
    check_boot(fields["boot"])
    check_record(fields["seq"], fields["t"], fields["up"], fields["tq"], fields["m"])


def check_hist(value: object) -> "list[tuple[int, ContractError]]":
    """Refuse what is not a `hist` payload; returns the rows (index, why) that are wrong by themselves.

    One bad row does not condemn its neighbours: the rest of the payload stands.
    """
    fields = check_fields(value, ("v", "boot", "r"), ("lo",))
    check_boot(fields["boot"])
    if "lo" in fields:
        check_seq(fields["lo"])
    rows = fields["r"]
    if not isinstance(rows, list):
        raise ContractError(codes.WRONG_TYPE, "r")
    if len(rows) > MAX_RECORDS or (not rows and "lo" not in fields):
        raise ContractError(codes.BAD_COUNT, "r has " + str(len(rows)) + " records")
    wrong = []
    for index in range(len(rows)):
        try:
            check_row(rows[index])
        except ContractError as error:
            wrong.append((index, error))
    return wrong


def check_row(row: object) -> None:
    """Refuse anything that is not a row of `hist`: [seq, t, up, tq, m]. Raises ContractError."""
    if not isinstance(row, list):
        raise ContractError(codes.WRONG_TYPE, "row")
    if len(row) != 5:
        raise ContractError(codes.BAD_COUNT, "row has " + str(len(row)) + " items")
    check_record(row[0], row[1], row[2], row[3], row[4])


def check_fields(
    value: object, needed: "tuple[str, ...]", optional: "tuple[str, ...]"
) -> "dict[str, object]":
    """`value` as an object of this version with these fields and no other. Raises ContractError."""
    if not isinstance(value, dict):
        raise ContractError(codes.WRONG_TYPE, "payload")
    for name in needed:
        if name not in value:
            raise ContractError(codes.MISSING_FIELD, name)
    for name in sorted(value):
        if name not in needed and name not in optional:
            raise ContractError(codes.UNKNOWN_FIELD, name)
    if type(value["v"]) is not int:
        raise ContractError(codes.WRONG_TYPE, "v")
    if value["v"] != VERSION:
        raise ContractError(codes.WRONG_VERSION, str(value["v"]))
    return value


def check_record(seq: object, t: object, up: object, tq: object, m: object) -> None:
    """Refuse a record that breaks the contract. Raises ContractError."""
    check_seq(seq)
    check_whole(up, 0, MAX_UP, codes.BAD_UPTIME, "up")
    check_time(t, tq)
    check_values(m)


def check_boot(boot: object) -> None:
    """Refuse what is not 8 lower-case hexadecimal digits. Raises ContractError."""
    if not isinstance(boot, str):
        raise ContractError(codes.WRONG_TYPE, "boot")
    if len(boot) != 8:
        raise ContractError(codes.BAD_BOOT, boot[:16])
    for digit in boot:
        if digit not in _HEX:
            raise ContractError(codes.BAD_BOOT, boot)


def check_seq(seq: object) -> None:
    """Refuse what is not a whole number of 1 to MAX_SEQ. Raises ContractError."""
    check_whole(seq, 1, MAX_SEQ, codes.BAD_SEQ, "seq")


def check_whole(value: object, lowest: int, highest: int, code: str, name: str) -> None:
    """Refuse what is not a whole number within bounds. Raises ContractError."""
    if type(value) is not int:
        raise ContractError(codes.WRONG_TYPE, name)
    if not lowest <= value <= highest:
        raise ContractError(code, name + " " + str(value)[:24])


def check_time(t: object, tq: object) -> None:
    """Refuse an impossible time, or a time whose quality contradicts it. Raises ContractError."""
    if not isinstance(tq, str):
        raise ContractError(codes.WRONG_TYPE, "tq")
    if tq not in codes.TIME_QUALITIES:
        raise ContractError(codes.BAD_TIME_QUALITY, tq[:16])
    if t is None:
        if tq != "none":
            raise ContractError(codes.BAD_TIME_QUALITY, tq + " without t")
        return
    if type(t) is int and tq == "none":
        raise ContractError(codes.BAD_TIME_QUALITY, "none with t")
    check_instant(t, "t")


def check_instant(t: object, name: str) -> None:
    """Refuse what is not Unix milliseconds of this century. Raises ContractError."""
    if type(t) is not int:
        raise ContractError(codes.WRONG_TYPE, name)
    if t < TIME_FLOOR:
        raise ContractError(codes.TIME_TOO_EARLY, name + " " + str(t)[:24])
    if t >= TIME_CEILING:
        raise ContractError(codes.TIME_TOO_LATE, name + " " + str(t)[:24])


def check_values(m: object) -> None:
    """Refuse a set of values that breaks the contract. Raises ContractError."""
    if not isinstance(m, dict):
        raise ContractError(codes.WRONG_TYPE, "m")
    if not 0 < len(m) <= MAX_VALUES:
        raise ContractError(codes.BAD_COUNT, "m has " + str(len(m)) + " values")
    for key in sorted(m):  # the same first mistake everywhere: MicroPython's dicts have an order of their own
        check_key(key)
        check_value(key, m[key])


def check_value(key: str, value: object) -> None:
    """Refuse a value that is neither a finite number nor null. Raises ContractError."""
    if value is None:
        return
    if type(value) is not int and type(value) is not float:
        raise ContractError(codes.WRONG_TYPE, key)
    if value - value != 0:  # infinities and NaN only
        raise ContractError(codes.NOT_FINITE, key)


def check_key(key: str) -> None:
    """Refuse a key that is not `property` or `property:channel` with a property of the catalogue."""
    name, colon, channel = key.partition(":")
    if name not in PROPERTIES:
        raise ContractError(codes.UNKNOWN_PROPERTY, key[:64])
    if not colon:
        return
    if not 0 < len(channel) <= MAX_CHANNEL:
        raise ContractError(codes.BAD_KEY, key[:64])
    for letter in channel:
        if letter not in _CHANNEL:
            raise ContractError(codes.BAD_KEY, key)
