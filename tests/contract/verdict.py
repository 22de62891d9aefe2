"""What the contract says to a golden message: the same program for CPython and for MicroPython.

As a program it reads the vector files named as arguments and prints one JSON line a vector:
[file, name, valid, error, rows_wrong, decoded as expected].
"""

import json
import sys

from qytet_contract import notices, records, strictjson, topics
from qytet_contract.codes import BAD_TOPIC, ContractError

CHECKS = {
    "obs": records.check_obs,
    "birth": notices.check_birth,
    "state": notices.check_state,
    "stored": notices.check_stored,
    "cmd": notices.check_cmd,
    "ack": notices.check_ack,
    "log": notices.check_log,
}


def message(vector):
    """The bytes of a golden message: `hex`, `raw`, or `parts` (rows of a text and how often it is repeated)."""
    if "hex" in vector:
        digits = vector["hex"]
        return bytes([int(digits[at : at + 2], 16) for at in range(0, len(digits), 2)])
    if "raw" in vector:
        return vector["raw"].encode()
    return b"".join([part[0].encode() * part[1] for part in vector["parts"]])


def judge(kind, raw):
    """(decoded value, wrong rows) of a message; raises ContractError."""
    if kind == "topic":
        found = topics.parse(str(raw, "utf-8"))
        if found is None:
            raise ContractError(BAD_TOPIC)
        return list(found), []
    value = strictjson.loads(raw)
    if kind == "hist":
        return value, [[index, error.code] for index, error in records.check_hist(value)]
    CHECKS[kind](value)
    return value, []


def verdict(vector):
    """[valid, error, rows_wrong, decoded as expected] of one vector."""
    try:
        value, rows = judge(vector["kind"], message(vector))
    except ContractError as error:
        return [False, error.code, [], None]
    return [True, None, rows, same(value, vector["decoded"]) if "decoded" in vector else None]


def same(one, other):
    """Equality that tells 1 from 1.0, 1 from true, and 0.0 from -0.0."""
    if type(one) is not type(other):
        return False
    if isinstance(one, dict):
        return sorted(one) == sorted(other) and all(same(one[key], other[key]) for key in one)
    if isinstance(one, list):
        return len(one) == len(other) and all(same(a, b) for a, b in zip(one, other))  # noqa: B905  not in MicroPython
    return repr(one) == repr(other)


def vectors(path):
    """Each vector of a file, which holds one a line, so that a small heap can read it."""
    with open(path) as file:  # noqa: PTH123  MicroPython has no pathlib
        for line in file:
            line = line.strip().rstrip(",")
            if line not in ("[", "]", ""):
                yield json.loads(line)


def main():
    for path in sys.argv[1:]:
        for vector in vectors(path):
            print(json.dumps([path.split("/")[-1], vector["name"], verdict(vector)]))


if __name__ == "__main__":
    main()
