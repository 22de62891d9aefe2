"""Everything that crosses the broker and is not a reading: birth, state, stored, cmd, ack and log.

birth   {"v":1,"boot":…,"lo":1,"fw":"0.1.0","board":"esp32-s3","ds":[["pm2_5","ug/m3"],…]}    retained
state   {"v":1,"boot":…,"s":"ready"}                          retained; the last will says "lost"
stored  {"v":1,"boot":…,"seq":1042}       up to here everything of that boot is accounted for
cmd     {"v":1,"cmd":"restart","exp":1789000000000,"args":{}}
ack     {"v":1,"s":"done","why":""}
log     {"v":1,"boot":…,"up":183000,"lvl":"warning","msg":"…"}
"""

from qytet_contract import VERSION, codes, records
from qytet_contract.codes import ContractError
from qytet_contract.properties import PROPERTIES

MAX_STREAMS = 256
MAX_TEXT = 200


def birth(boot: str, lo: int, fw: str, board: str, ds: "list[list[str]]") -> "dict[str, object]":
    """A `birth` payload; `ds` holds a row of key and UCUM unit for each datastream."""
    return {"v": VERSION, "boot": boot, "lo": lo, "fw": fw, "board": board, "ds": ds}


def state(boot: str, s: str) -> "dict[str, object]":
    """A `state` payload; `s` is one of STATES."""
    return {"v": VERSION, "boot": boot, "s": s}


def stored(boot: str, seq: int) -> "dict[str, object]":
    """A `stored` payload: the highest `seq` up to which everything of `boot` is accounted for."""
    return {"v": VERSION, "boot": boot, "seq": seq}


def check_birth(value: object) -> None:
    """Refuse anything that is not a `birth` payload. Raises ContractError."""
    fields = records.check_fields(value, ("v", "boot", "lo", "fw", "board", "ds"), ())
    records.check_boot(fields["boot"])
    records.check_seq(fields["lo"])
    check_text(fields["fw"], "fw")
    check_text(fields["board"], "board")
    streams = fields["ds"]
    if not isinstance(streams, list):
        raise ContractError(codes.WRONG_TYPE, "ds")
    if not 0 < len(streams) <= MAX_STREAMS:
        raise ContractError(codes.BAD_COUNT, "ds has " + str(len(streams)) + " rows")
    for row in streams:
        check_stream(row)


def check_stream(row: object) -> None:
    """Refuse what is not [key, unit] with the catalogue's own unit. Raises ContractError."""
    if not isinstance(row, list) or len(row) != 2:
        raise ContractError(codes.WRONG_TYPE, "ds row")
    key, unit = row
    check_text(key, "key")
    records.check_key(key)
    if unit != PROPERTIES[key.partition(":")[0]][0]:
        raise ContractError(codes.WRONG_UNIT, key)


def check_state(value: object) -> None:
    """Refuse anything that is not a `state` payload. Raises ContractError."""
    fields = records.check_fields(value, ("v", "boot", "s"), ())
    records.check_boot(fields["boot"])
    check_choice(fields["s"], codes.STATES, "s")


def check_stored(value: object) -> None:
    """Refuse anything that is not a `stored` payload; `seq` 0 means nothing yet. Raises ContractError."""
    fields = records.check_fields(value, ("v", "boot", "seq"), ())
    records.check_boot(fields["boot"])
    records.check_whole(fields["seq"], 0, records.MAX_SEQ, codes.BAD_SEQ, "seq")


def check_cmd(value: object) -> None:
    """Refuse anything that is not a `cmd` payload. Raises ContractError."""
    fields = records.check_fields(value, ("v", "cmd", "exp", "args"), ())
    check_text(fields["cmd"], "cmd")
    records.check_instant(fields["exp"], "exp")
    if not isinstance(fields["args"], dict):
        raise ContractError(codes.WRONG_TYPE, "args")


def check_ack(value: object) -> None:
    """Refuse anything that is not an `ack` payload. Raises ContractError."""
    fields = records.check_fields(value, ("v", "s"), ("why",))
    check_choice(fields["s"], codes.ACKS, "s")
    if "why" in fields:
        check_text(fields["why"], "why", empty=True)


def check_log(value: object) -> None:
    """Refuse anything that is not a `log` payload. Raises ContractError."""
    fields = records.check_fields(value, ("v", "boot", "up", "lvl", "msg"), ())
    records.check_boot(fields["boot"])
    records.check_whole(fields["up"], 0, records.MAX_UP, codes.BAD_UPTIME, "up")
    check_choice(fields["lvl"], codes.LOG_LEVELS, "lvl")
    check_text(fields["msg"], "msg")


def check_text(value: object, name: str, *, empty: bool = False) -> None:
    """Refuse what is not a text of at most MAX_TEXT characters. Raises ContractError."""
    if not isinstance(value, str):
        raise ContractError(codes.WRONG_TYPE, name)
    if len(value) > MAX_TEXT or not (value or empty):
        raise ContractError(codes.BAD_TEXT, name)


def check_choice(value: object, choices: "tuple[str, ...]", name: str) -> None:
    """Refuse what is not one of the words that the contract knows. Raises ContractError."""
    if not isinstance(value, str):
        raise ContractError(codes.WRONG_TYPE, name)
    if value not in choices:
        raise ContractError(codes.BAD_TEXT, name + " " + value[:16])
