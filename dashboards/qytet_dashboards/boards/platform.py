"""The platform itself: does what arrives reach the database, how fast, and how near are the limits."""

from collections.abc import Iterator, Sequence

from qytet_dashboards.cities import City
from qytet_dashboards.vocabulary import Board, Panels, Words

__all__ = ["build"]

_READINGS = """
select minute as "time", worker as metric, readings / 60.0::double precision as value
from qytet.ingest_minute where minute between :since and :till order by 1, 2
"""


def build(language: str, cities: Sequence[City]) -> Iterator[Board]:  # noqa: ARG001
    """One board for all cities."""
    words = Words(language, "board_platform")
    panels = Panels(words)
    yield Board(
        "platform",
        words,
        variables=[],
        panels=[(panels.lines("readings", _READINGS, "short"), 24, 8)],
        since="now-6h",
        events=False,
    )
