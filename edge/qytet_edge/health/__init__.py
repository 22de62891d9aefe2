"""The gateway's own health: what its board, its disk and its parts say, as readings of its own device."""

from qytet_edge.health.board import Board
from qytet_edge.health.run import Health, Parts

__all__ = ["Board", "Health", "Parts"]
