"""The contract's messages that a node says and hears, but for records.

`qytet_contract.notices` checks the same with more words, and with a catalogue that takes a fifth of a node's memory: it
is held against these in the tests.
"""

import json

MOST_TEXT = 200


def birth(boot, lowest, fw, board, streams):
    """`streams` is JSON: rows of key and unit."""
    return '{"v":1,"boot":"%s","lo":%d,"fw":%s,"board":%s,"ds":%s}' % (
        boot,
        lowest,
        json.dumps(fw),
        json.dumps(board),
        streams,
    )


def state(boot, word):
    """`word`: ready, or lost as the last will."""
    return '{"v":1,"boot":"%s","s":"%s"}' % (boot, word)


def ack(word, why):
    """`word`: accepted, done or failed."""
    return '{"v":1,"s":"%s","why":%s}' % (word, json.dumps(why[:MOST_TEXT]))


def log(boot, up, level, text):
    """A line of the log; `level`: info, warning, error."""
    return '{"v":1,"boot":"%s","up":%d,"lvl":"%s","msg":%s}' % (
        boot,
        up,
        level,
        json.dumps(text[:MOST_TEXT] or "-"),
    )


def command(payload):
    """(name, exp, args) of a `cmd`. Raises ValueError with what is wrong."""
    try:
        found = json.loads(payload)
    except ValueError:
        raise ValueError("this is no JSON")
    if not isinstance(found, dict) or sorted(found) != ["args", "cmd", "exp", "v"] or not _ours(found):
        raise ValueError("a command has v 1, cmd, exp and args")
    name, exp, args = found["cmd"], found["exp"], found["args"]
    if not isinstance(name, str) or not 0 < len(name) <= MOST_TEXT:
        raise ValueError("cmd is no text")
    if isinstance(exp, bool) or not isinstance(exp, int):
        raise ValueError("exp is no whole number")
    if not isinstance(args, dict):
        raise ValueError("args is no object")
    return name, exp, args


def _ours(found):
    """Whether it is of version 1: the whole number, not 1.0, not true."""
    return isinstance(found["v"], int) and not isinstance(found["v"], bool) and found["v"] == 1
