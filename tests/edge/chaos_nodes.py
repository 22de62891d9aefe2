"""Simulated nodes as a process of their own: each keeps every record until its mark, and sends again what has none.

The argument is a JSON object: the load's fields, `rate` (records a second), `seconds` (how long they may take to
have all marked) and `url` of the local broker. Prints an account as JSON.
"""

import json
import sys
import time
from dataclasses import asdict
from typing import Any

from qytet import log
from qytet.settings import LogSettings
from qytet_simulators.device.address import Address
from qytet_simulators.device.backlog import Patience
from qytet_simulators.device.load import Load
from qytet_simulators.device.node import Node
from qytet_simulators.device.switchboard import Switchboard
from qytet_simulators.device.tally import Tally

__all__ = ["main"]

_FIELDS = ("records", "devices", "readings", "run", "prefix", "start_ms")
_CONNECTIONS = 4


def main() -> None:
    """Make the load's records at its rate, then wait until all are marked."""
    log.configure(
        LogSettings(format="json")
    )  # on standard error: the account is all that standard output gets
    given = json.loads(sys.argv[1])
    load, tally = Load(**{name: given[name] for name in _FIELDS}), Tally()
    patience = Patience(first=2.0, most=10.0)
    nodes = [Node(load.city, name, load.keys, patience=patience, tally=tally) for name in load.names]
    for node, boot in zip(nodes, load.boots, strict=True):
        node.reboot(boot)
    address = Address.parse(given["url"], None)
    with Switchboard(address, nodes, run=load.run, connections=_CONNECTIONS) as board:
        began = time.monotonic()
        for turn in range(load.records):
            board.run(max(0.0, began + turn / given["rate"] - time.monotonic()))
            _make(load, nodes, turn, board)
        board.settle(given["seconds"] - (time.monotonic() - began))
        sys.stdout.write(json.dumps(_account(nodes, tally, time.monotonic() - began)))


def _make(load: Load, nodes: list[Node], turn: int, board: Switchboard) -> None:
    """The next record of the node whose turn it is."""
    which, number = turn % len(nodes), turn // len(nodes)
    record = load.record(which, number)
    assert nodes[which].accept(record) == [], "a node dropped a record"
    board.submit(nodes[which], load.boots[which], record)


def _account(nodes: list[Node], tally: Tally, seconds: float) -> dict[str, Any]:
    held = sum(len(node.backlog) for node in nodes)
    return {**asdict(tally), "unmarked": held, "seconds": round(seconds, 1)}


if __name__ == "__main__":
    main()
