"""Keyset paging: an opaque cursor holds the last row's key, so no row is skipped or repeated while rows arrive."""

import base64
import binascii
import json
from collections.abc import Sequence
from typing import Annotated, Any, Generic, TypeVar

from fastapi import Query, Request
from pydantic import BaseModel, Field

from qytet_api.problems import ProblemError

__all__ = ["Cursor", "Limit", "Page", "decode", "encode", "link", "page"]

T = TypeVar("T")

Limit = Annotated[int | None, Query(ge=1, le=10_000, description="Rows of a page. Default: `api.page_size`.")]
Cursor = Annotated[
    str | None,
    Query(max_length=400, description="Where the page before ended; take it from that page's `next`."),
]


class Page(BaseModel, Generic[T]):
    """A page of rows in the order of their key."""

    items: list[T] = Field(description="The rows.")
    next: str | None = Field(description="Address of the next page, or null after the last one.")


def encode(key: Sequence[str | int]) -> str:
    """The key of a row as text that callers pass back untouched."""
    text = json.dumps(list(key), separators=(",", ":")).encode()
    return base64.urlsafe_b64encode(text).decode().rstrip("=")


def decode(cursor: str | None, *kinds: type[str] | type[int]) -> list[Any]:
    """The key parts in `cursor`, or as many Nones. Raises ProblemError 422 if it is not one of ours."""
    if cursor is None:
        return [None] * len(kinds)
    try:
        key = json.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
    except (ValueError, binascii.Error, RecursionError):
        raise _bad() from None
    fits = isinstance(key, list) and [type(part) for part in key] == list(kinds)
    if not fits or not all(_storable(part) for part in key):
        raise _bad()
    return list(key)


def _storable(part: str | int) -> bool:
    """Whether PostgreSQL can hold it: a bigint, or text without a zero byte or half a character."""
    if isinstance(part, int):
        return -(2**63) <= part < 2**63
    return "\0" not in part and part.isprintable()


def page(request: Request, rows: list[dict[str, Any]], limit: int, key: Sequence[str]) -> dict[str, Any]:
    """A page of at most `limit` of `rows`, which hold one row more if there is a next page."""
    more = len(rows) > limit
    shown = rows[:limit]
    following = link(request, encode([shown[-1][name] for name in key])) if more else None
    return {"items": shown, "next": following}


def link(request: Request, cursor: str) -> str:
    """The request's own address with another cursor, without host: it stays right behind a proxy."""
    url = request.url.include_query_params(cursor=cursor)
    return f"{url.path}?{url.query}"


def _bad() -> ProblemError:
    return ProblemError(422, "The cursor is not one of ours. Take it unchanged from `next` of a page.")
