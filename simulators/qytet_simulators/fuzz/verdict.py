"""Whether the contract refuses a message: the exact reader's verdict, mostly reached by a faster way.

Python's JSON reader is looser than the contract's (it takes NaN, repeated keys, any depth) and otherwise agrees,
so what it refuses, or what a check refuses after it, is refused; only what passes goes to the exact reader.
"""

import json
from collections.abc import Callable

from qytet_contract import codes, notices, records, strictjson, topics
from qytet_contract.codes import ContractError

__all__ = ["payload_refusal", "refusal"]

_CHECKS: dict[str, Callable[[object], object]] = {
    topics.OBS: records.check_obs,
    topics.BIRTH: notices.check_birth,
    topics.STATE: notices.check_state,
    topics.LOG: notices.check_log,
    topics.ACK: notices.check_ack,
}


def refusal(topic: str, payload: bytes) -> str:
    """Why the contract refuses this message as a whole; "" if it does not, or not certainly.

    A backfill counts as refused if its envelope is, or every one of its rows. An empty birth or state is no
    mistake (it clears what the broker retained).
    """
    parsed = topics.parse(topic)
    if parsed is None:
        return codes.BAD_TOPIC
    return payload_refusal(parsed[2], payload)


def payload_refusal(kind: str, payload: bytes) -> str:
    """The same for a payload on a good topic of this kind."""
    if not payload and kind in (topics.BIRTH, topics.STATE):
        return ""
    return _loose(kind, payload) or _exact(kind, payload)


def _exact(kind: str, payload: bytes) -> str:
    try:
        return _check(kind, strictjson.loads(payload))
    except ContractError as error:
        return error.code


def _loose(kind: str, payload: bytes) -> str:
    """A refusal that the exact reader would make too, perhaps by another name; "" if none was found."""
    if len(payload) > strictjson.MAX_BYTES:
        return codes.TOO_LARGE
    try:
        return _check(kind, json.loads(payload.decode()))
    except UnicodeDecodeError:
        return codes.NOT_UTF8
    except RecursionError:
        return codes.TOO_DEEP
    except ValueError:
        return codes.NOT_JSON
    except ContractError as error:
        return error.code


def _check(kind: str, value: object) -> str:
    if kind != topics.HIST:
        _CHECKS[kind](value)
        return ""
    wrong = records.check_hist(value)
    assert isinstance(value, dict)
    return wrong[0][1].code if wrong and len(wrong) == len(value["r"]) else ""
