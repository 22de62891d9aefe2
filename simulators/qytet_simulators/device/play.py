"""One whole run: connect, sample until told to stop, wait until all is marked as stored, and give account."""

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from qytet.errors import ServerError
from qytet_simulators.device.address import Address
from qytet_simulators.device.carrier import Manners
from qytet_simulators.device.report import StatsFile, snapshot, unmarked
from qytet_simulators.device.stop import StopWish
from qytet_simulators.device.switchboard import Switchboard
from qytet_simulators.device.town import Plan, Town
from qytet_simulators.oracle import OracleWriter

__all__ = ["Conduct", "play"]

FIRST_CONNECT_S = 15.0
Show = Callable[[dict[str, Any]], None]


@dataclass(frozen=True, slots=True)
class Conduct:
    """How a plan is carried out; `connections` 0 means one a device, `duration_s` None until told to stop."""

    address: Address
    connections: int = 1
    manners: Manners = field(default_factory=Manners)
    duration_s: float | None = None
    settle_s: float = 30.0
    oracle: Path | None = None
    stats: Path | None = None


def play(plan: Plan, conduct: Conduct, show: Show | None = None) -> dict[str, Any]:
    """Run a plan; `show` is called about once a second with a snapshot. Returns the last snapshot.

    Its `unmarked` counts records of which the server has not said that they are accounted for.
    Raises ServerError if no connection can be had at first.
    """
    with ExitStack() as stack:
        stop = stack.enter_context(StopWish())
        oracle = stack.enter_context(OracleWriter(conduct.oracle)) if conduct.oracle else None
        stats = stack.enter_context(StatsFile(conduct.stats))
        town = Town(plan, oracle)
        board = stack.enter_context(
            Switchboard(
                conduct.address,
                town.nodes,
                run=plan.run,
                connections=conduct.connections,
                manners=conduct.manners,
            )
        )

        def watched() -> bool:
            if stats.update(town, board) and show:
                show(snapshot(town, board))
            return stop()

        _first_connection(board, stop)
        town.work(board, watched, conduct.duration_s)
        stop.again()
        board.settle(conduct.settle_s, watched)
        stats.update(town, board, last=True)
        return snapshot(town, board) | {"unmarked": unmarked(town)}


def _first_connection(board: Switchboard, stop: Callable[[], bool]) -> None:
    board.run(FIRST_CONNECT_S, lambda: stop() or board.up > 0 or bool(board.refusal))
    if not board.up and not stop():
        raise ServerError(
            "The simulated devices cannot reach the broker.",
            why=board.refusal or f"No answer within {FIRST_CONNECT_S:.0f} s.",
            do="Check that it runs, and the URL, user and password (--broker or QYTET_BROKER__URL).",
        )
