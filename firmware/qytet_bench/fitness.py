"""Whether a board that runs MicroPython can and may become a node, by what it says of itself."""

from qytet_bench.line import BoardError
from qytet_bench.onboard import About

__all__ = ["MICROPYTHON", "UnfitError", "check_board", "check_identity"]

MICROPYTHON = (1, 29, 0)
"""What the node is tested with."""
_MPY = 6


class UnfitError(BoardError):
    """This board cannot become this node, or must not; trying again changes nothing."""


def check_board(about: About, chip: str) -> None:
    """It runs this Python, new enough, on this chip ("": on any). Raises UnfitError."""
    if about.name != "micropython":
        raise UnfitError(
            f"The board runs {about.name or 'something else'}, not MicroPython.", do="`qytet bench flash`."
        )
    if about.version < MICROPYTHON or about.mpy != _MPY:
        found, wanted = (".".join(map(str, version)) for version in (about.version, MICROPYTHON))
        raise UnfitError(
            f"The board runs MicroPython {found}.",
            why=f"The node is made for {wanted} and later, with .mpy files of version {_MPY}.",
            do="Write a newer image: `qytet bench flash`.",
        )
    if chip and about.chip and about.chip != chip:
        raise UnfitError(
            f"The board has the chip {about.chip}, and the node's settings are for {chip}.",
            why=f"It calls itself {about.machine!r}.",
            do="Take the right board, or give the one that this is by --board.",
        )


def check_identity(about: About, who: tuple[str, str]) -> None:
    """Readings of one node must never be sent under another's name. Raises UnfitError."""
    if about.who is not None and about.who != who and about.held:
        city, device = about.who
        raise UnfitError(
            f"The board is {device} of {city} and holds {about.held // 1024 + 1} KB of its readings.",
            why=f"As {who[1]} it would send under that name whatever the city has not stored yet.",
            do="Let it send them first; then, or to give them up, repeat with --discard-backlog.",
        )
