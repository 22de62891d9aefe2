"""How observations are found and streamed: one datastream, one direction, a chunk in memory at a time."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from fastapi import Request
from psycopg import AsyncServerCursor
from psycopg.rows import DictRow

from qytet.units import display
from qytet_api.database import Database, Rows
from qytet_api.datastreams import queries as datastreams
from qytet_api.observations.formats import MEDIA_TYPES, Writer, writer
from qytet_api.observations.queries import STATEMENTS
from qytet_api.observations.schemas import Format
from qytet_api.paging import decode, encode, link
from qytet_api.problems import ProblemError, not_found
from qytet_api.streaming import PacedStream, StreamGate

__all__ = ["CHUNK", "Question", "find_stream", "respond"]

CHUNK = 2000
"""Rows in memory at once."""


@dataclass(frozen=True, slots=True)
class Question:
    """Which rows: from `start` up to but not including `end`, after `cursor`; `limit` None is all of them."""

    resolution: str
    order: str
    start: datetime | None
    end: datetime | None
    limit: int | None
    cursor: str | None

    def params(self, datastream_id: int) -> dict[str, object]:
        """The parameters of the statement. Raises ProblemError 422 if the cursor is not one of ours."""
        rows = None if self.limit is None else self.limit + 1
        return {
            "id": datastream_id,
            "start": self.start,
            "end": self.end,
            "after": _instant(self.cursor),
            "rows": rows,
        }


def _instant(cursor: str | None) -> datetime | None:
    (text,) = decode(cursor, str)
    if text is None:
        return None
    try:
        instant = datetime.fromisoformat(text)
    except ValueError:
        instant = None
    if instant is None or instant.tzinfo is None:
        raise ProblemError(422, "The cursor is not one of ours. Take it unchanged from `next` of a page.")
    return instant


async def find_stream(
    database: Database, datastream: int | None, device: str | None, key: str | None
) -> dict[str, Any]:
    """The datastream of that number, or the newest of device and key. Raises ProblemError 404 or 422."""
    if datastream is not None and device is None and key is None:
        found = await database.row(datastreams.BY_ID, {"id": datastream})
        name: object = datastream
    elif datastream is None and device is not None and key is not None:
        found = await database.row(datastreams.NEWEST_OF_KEY, {"device": device, "key": key})
        name = f"{key} of device {device}"
    else:
        raise ProblemError(422, "Say which datastream: either `datastream`, or `device` and `key`.")
    if found is None:
        raise not_found("datastream", name)
    return {**found, "unit": display(found["ucum"])}


async def respond(
    request: Request,
    database: Database,
    gate: StreamGate,
    stream: dict[str, Any],
    question: Question,
    format_: Format,
) -> PacedStream:
    """The answer; its first chunk is read before its status is sent, so that a dead database is a 503."""
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(gate.place())
        statement = STATEMENTS[question.resolution, question.order]
        cursor = await stack.enter_async_context(
            database.cursor(statement, question.params(stream["datastream_id"]))
        )
        headers = {}
        if format_ is not Format.JSON and question.limit is not None:
            headers = await _link_header(request, cursor, question.limit)
        columns = [column.name for column in cursor.description or ()]
        first = await cursor.fetchmany(_chunk(question.limit, 0))
        out = writer(format_, stream, question.resolution, columns)
        content = _content(request, cursor, first, out, question.limit)
        return PacedStream(content, held=stack.pop_all(), media_type=MEDIA_TYPES[format_], headers=headers)
    raise AssertionError("unreachable")


async def _link_header(request: Request, cursor: AsyncServerCursor[DictRow], limit: int) -> dict[str, str]:
    """Where the next page begins, found by moving the cursor at the database; rows stay there."""
    await cursor.scroll(limit, mode="absolute")
    last_and_next: Rows = []
    if await cursor.fetchone() is not None:
        await cursor.scroll(limit - 1, mode="absolute")
        last_and_next = await cursor.fetchmany(1)
    await cursor.scroll(0, mode="absolute")
    if not last_and_next:
        return {}
    return {"Link": f'<{link(request, _cursor(last_and_next[0]))}>; rel="next"'}


async def _content(
    request: Request,
    cursor: AsyncServerCursor[DictRow],
    rows: Rows,
    out: Writer,
    limit: int | None,
) -> AsyncIterator[bytes]:
    yield out.head()
    sent = 0
    following = None
    while rows:
        shown = rows if limit is None else rows[: limit - sent]
        if shown:
            yield out.rows(shown)
            sent += len(shown)
            last = shown[-1]
        if len(shown) < len(rows):
            following = link(request, _cursor(last))
            break
        rows = await cursor.fetchmany(_chunk(limit, sent))
    yield out.tail(following)


def _chunk(limit: int | None, sent: int) -> int:
    """How many rows to fetch next: a chunk, or what is left of the page and one more."""
    return CHUNK if limit is None else min(CHUNK, limit + 1 - sent)


def _cursor(row: dict[str, Any]) -> str:
    instant: datetime = row["phenomenon_time"]
    return encode([instant.astimezone(UTC).isoformat()])
