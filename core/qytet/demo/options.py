"""What may be asked of a run, and on which port the page is to be found."""

from dataclasses import dataclass

from rich.console import Console

from qytet.embedded import PortTakenError
from qytet.embedded.ports import is_free, listener
from qytet.errors import ServerError

__all__ = ["Options", "api_port"]

CITIES = ("tirana", "durres", "korce")
_NEXT_PORTS = 50


@dataclass(frozen=True, slots=True)
class Options:
    """What the person asked for; `duration_s` None runs until told to stop, `port` None takes a free one."""

    duration_s: float | None = None
    port: int | None = None
    interval_s: float = 2.0
    devices: int | None = None
    scenario: str = ""

    @property
    def fleet(self) -> list[str]:
        """The arguments of `qytet simulate` that say which devices."""
        cities = [word for city in CITIES for word in ("--city", city)]
        return [*cities, *(["--devices", str(self.devices)] if self.devices else [])]


def api_port(asked: int | None, usual: int, console: Console) -> int:
    """The port that was asked for, else the usual one, else the next free one, and then it says so.

    Raises PortTakenError if the port that was asked for is taken.
    """
    wanted = usual if asked is None else asked
    if is_free(wanted):
        return wanted
    if asked is not None:
        raise PortTakenError("The API", asked, listener(asked))
    for port in range(usual + 1, min(usual + _NEXT_PORTS, 65_535)):
        if is_free(port):
            pid = listener(usual)
            holder = f"process {pid}" if pid else "another program"
            console.print(f"Port {usual} is taken by {holder}; the page is on {port}.", highlight=False)
            return port
    raise ServerError(
        f"No port from {usual} to {usual + _NEXT_PORTS} is free for the API.",
        do="Choose one: make demo PORT=9000",
    )
