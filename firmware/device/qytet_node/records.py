"""How a record is written, as the row of a `hist` and the payload of an `obs`, and which records the server has.

A row is the JSON `[seq,t,up,"tq",{key:value}]` (see the contract); the backlog keeps it as it will be sent.
"""

import json

_HEX = "0123456789abcdef"
_HIGHEST_SEQ = 2147483647


def row(seq, t, up, tq, m):
    """The row's bytes; `m` maps keys to numbers or None."""
    when = "null" if t is None else str(t)
    return ('[%d,%s,%d,"%s",%s]' % (seq, when, up, tq, values(m))).encode()


def obs(boot, one):
    """The payload of an `obs`, from a row's bytes."""
    seq, t, up, rest = one[1:-1].split(b",", 3)
    tq, m = rest.split(b",", 1)
    return b'{"v":1,"boot":"%s","seq":%s,"t":%s,"up":%s,"tq":%s,"m":%s}' % (boot.encode(), seq, t, up, tq, m)


def hist(boot, lowest, rows):
    """The payload of a `hist`: rows' bytes, oldest first; none at all tells only what is no longer held."""
    return b'{"v":1,"boot":"%s","lo":%d,"r":[%s]}' % (boot.encode(), lowest, b",".join(rows))


def seq_of(one):
    """The number of a row."""
    return int(one[1 : one.index(b",")])


def values(m):
    """A JSON object in the order of its keys; what is no finite number is null: measured, no value."""
    return "{%s}" % ",".join('"%s":%s' % (key, number(m[key])) for key in sorted(m))


def number(value):
    """A number as JSON writes it, seven digits at most: more a node's floating point does not hold."""
    if value is None or value != value or value in (float("inf"), float("-inf")):
        return "null"
    if isinstance(value, int):  # booleans too
        return str(int(value))
    if value == int(value) and abs(value) < 10000000:
        return str(int(value))
    return "%.7g" % value


def mark(payload):
    """(boot, seq) of a `stored`; None if it is none."""
    try:
        found = json.loads(payload)
        if not isinstance(found, dict) or sorted(found) != ["boot", "seq", "v"]:
            return None
        version, boot, seq = found["v"], found["boot"], found["seq"]
    except ValueError:
        return None
    if isinstance(version, bool) or not isinstance(version, int) or version != 1:
        return None
    if not isinstance(boot, str) or len(boot) != 8 or any(one not in _HEX for one in boot):
        return None
    if isinstance(seq, bool) or not isinstance(seq, int) or not 0 <= seq <= _HIGHEST_SEQ:
        return None
    return boot, seq
