"""What esptool says when it fails, and what a technician should hear instead.

The words that are looked for are those of esptool 5.1 to 5.6; others end up as `Kind.UNKNOWN` with its last line.
"""

import re
from collections.abc import Sequence
from enum import StrEnum

from qytet.errors import ServerError
from qytet_bench import serialport

__all__ = ["WORTH_ANOTHER", "EsptoolError", "Kind", "classified", "failure", "what_of"]


class Kind(StrEnum):
    """Why a run of esptool failed."""

    NO_PORT = "no-port"
    BUSY = "busy"
    REFUSED = "refused"
    NO_ANSWER = "no-answer"
    WRONG_CHIP = "wrong-chip"
    LOST = "lost"
    VERIFY = "verify"
    PROTECTED = "protected"
    NO_PROGRAM = "no-program"
    UNKNOWN = "unknown"


class EsptoolError(ServerError):
    """A run failed for good; `kind` says how, `attempts` how often it was tried."""

    def __init__(self, kind: Kind, what: str, *, why: str = "", do: str = "", attempts: int = 1) -> None:
        super().__init__(what, why=why, do=do)
        self.kind = kind
        self.attempts = attempts


# In this order: the first of whose words one is found decides.
_WORDS: tuple[tuple[Kind, tuple[str, ...]], ...] = (
    (Kind.NO_PROGRAM, (r"No module named '?esptool", r"No module named esptool")),
    (Kind.BUSY, ("exclusively lock", "[Rr]esource busy", r"Errno 16\b", r"Errno 11\b")),
    (Kind.REFUSED, ("Permission ?denied", "PermissionError", "Access is denied")),
    (Kind.NO_PORT, ("[Nn]o such file", "FileNotFoundError", "[Cc]ould not open", "Connection refused")),
    (Kind.WRONG_CHIP, ("This chip is .*, not", "Wrong chip argument", r"not an? ESP32\S* image")),
    (Kind.PROTECTED, ("[Ss]ecure [Dd]ownload", "flash encryption", "[Ss]ecure [Bb]oot")),
    (Kind.VERIFY, ("MD5 of file does not match", "written flash region is empty")),
    (Kind.NO_ANSWER, ("Failed to connect to", "No serial data received", "Wrong boot mode")),
    (
        Kind.LOST,
        (
            "stopped",
            "[Tt]imed out",
            "[Tt]imeout",
            "[Ll]ost connection",
            "disconnected",
            "returned no data",
            "Failed to write",
            "Failed to start stub",
            "Failed to communicate",
            "Response doesn't match",
            "Unexpected response",
            "Invalid head",
            "Invalid SLIP",
            "No more data",
            "SerialException",
            "result was",
            "Broken pipe",
            "Input/output error",
        ),
    ),
)
WORTH_ANOTHER = {Kind.LOST, Kind.VERIFY, Kind.NO_ANSWER, Kind.UNKNOWN}
"""What may pass when the run is repeated."""

_SENTENCES = {
    Kind.NO_PORT: (
        "The board went away: its port is not there any more.",
        "Plug it in again with a cable that carries data, and see `qytet bench ports`.",
    ),
    Kind.NO_ANSWER: (
        "The board does not answer.",
        (
            "Hold its BOOT button, press and let go RESET (EN), let go BOOT, and run the command again. "
            "If that does not help: another cable (some only charge), no other wires on GPIO0, GPIO2, TX and RX, "
            "and enough supply."
        ),
    ),
    Kind.WRONG_CHIP: ("The chip is another one.", "Choose the board that it is, by --board."),
    Kind.LOST: (
        "The connection to the board broke off.",
        "Use a short cable straight into this machine (no hub), and run the command again; slower: --baud 115200.",
    ),
    Kind.VERIFY: (
        "What the board read back is not what was written.",
        (
            "Run the command again, slower: --baud 115200. If it stays so, the board's flash is worn or badly "
            "supplied: use another board."
        ),
    ),
    Kind.PROTECTED: (
        "The chip is locked by secure boot or flash encryption.",
        "It was bound to other firmware for good: use another board.",
    ),
    Kind.NO_PROGRAM: (
        "esptool is not installed.",
        "Install the extra that brings it: pip install 'qytet[bench]'",
    ),
    Kind.UNKNOWN: (
        "esptool failed.",
        "Run the command again; if it stays so, look its words up in esptool's troubleshooting pages.",
    ),
}


def classified(lines: Sequence[str]) -> Kind:
    """The kind of a failure, from what esptool printed."""
    text = "\n".join(lines)
    return next(
        (kind for kind, words in _WORDS if any(re.search(word, text) for word in words)), Kind.UNKNOWN
    )


def what_of(kind: Kind) -> str:
    """The failure in one sentence."""
    return _SENTENCES[kind][0] if kind in _SENTENCES else "The port could not be opened."


def failure(kind: Kind, port: str, lines: Sequence[str], attempts: int) -> EsptoolError:
    """The error for the technician."""
    if kind in {Kind.BUSY, Kind.REFUSED}:
        busy = kind is Kind.BUSY
        made = serialport.busy(port, serialport.holders(port)) if busy else serialport.refused(port)
        return EsptoolError(kind, made.what, why=made.why, do=made.do, attempts=attempts)
    what, do = _SENTENCES[kind]
    last = next((line for line in reversed(lines) if _tells(line)), "nothing.")
    why = f"esptool says: {last[:300]}" + (f" ({attempts} attempts)" if attempts > 1 else "")
    return EsptoolError(kind, what, why=why, do=do, attempts=attempts)


def _tells(line: str) -> bool:
    return not any(word in line for word in ("troubleshooting", "Hard resetting", "Staying in", "NOTE:"))
