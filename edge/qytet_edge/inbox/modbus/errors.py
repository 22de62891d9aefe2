"""What can go wrong on a Modbus line, told apart because each asks for another answer.

BusError(OSError)
├── PortError       the adapter or the server is not there: nobody on this line can be asked
├── NoAnswerError   the unit was asked and kept silent
├── GarbledError    something was heard, but no sound answer
└── RefusedError    the unit answered with a Modbus exception; `code` says which
"""

__all__ = ["BusError", "GarbledError", "NoAnswerError", "PortError", "RefusedError"]

_REFUSALS = {
    1: "it does not know this function",
    2: "it has no such address: is this the right map for the instrument?",
    3: "it cannot take this count or value: try a smaller max_count in the map, or another value",
    4: "it failed inside",
    5: "it needs more time",
    6: "it is busy",
    7: "it will not do that",
    8: "its memory has an error",
    10: "the Modbus gateway has no way to it",
    11: "the Modbus gateway got no answer from it",
}
_BUSY = (5, 6)
_BEHIND = (10, 11)


class BusError(OSError):
    """A question on a Modbus line that got no usable answer; the text is a sentence for a technician."""


class PortError(BusError):
    """The adapter or the server is not there."""


class NoAnswerError(BusError):
    """A unit kept silent."""


class GarbledError(BusError):
    """What was heard is no sound answer; `kind` is "checksum", "short", "other unit" or "noise"."""

    def __init__(self, text: str, kind: str) -> None:
        super().__init__(text)
        self.kind = kind


class RefusedError(BusError):
    """A unit answered with exception `code` (Modbus Application Protocol V1.1b3, section 7)."""

    def __init__(self, unit: int, code: int) -> None:
        super().__init__(f"unit {unit} refuses (exception {code}): {_REFUSALS.get(code, 'unknown code')}")
        self.code = code

    @property
    def busy(self) -> bool:
        """Asking again soon makes sense."""
        return self.code in _BUSY

    @property
    def behind(self) -> bool:
        """A Modbus gateway speaks for a unit that is silent."""
        return self.code in _BEHIND
