"""What the uplink needs of the spool, no more; `qytet_edge.spool` says what each of them promises."""

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

from qytet_edge.records import Notice, Record

if TYPE_CHECKING:
    from qytet_edge.spool import Fresh, Held

__all__ = ["Store"]


class Store(Protocol):
    """The spool as the uplink sees it."""

    fresh: "Fresh"
    notice_kept: asyncio.Event

    @property
    def boot(self) -> str:
        """The numbering of our own records now."""

    async def held(self) -> "Sequence[Held]":
        """Every numbering that has something to send or to tell."""

    async def read(self, device: str, boot: str, after_seq: int, limit: int, max_bytes: int) -> list[Record]:
        """Records of one numbering above `after_seq`, ascending."""

    async def mark(self, device: str, boot: str, seq: int) -> None:
        """The city accounts for everything up to `seq`."""

    async def notices(self, limit: int, after: int = 0) -> Sequence[tuple[int, Notice]]:
        """The oldest notices with their ids, of those above id `after`."""

    async def noticed(self, ids: Sequence[int]) -> None:
        """The city's broker has these notices."""
