"""Addresses of observations."""

from datetime import UTC, datetime
from typing import Annotated, Any

from fastapi import APIRouter, Header, Query, Request
from pydantic import AfterValidator, AwareDatetime

from qytet_api.dependencies import DeviceName, Key, Reader
from qytet_api.observations import service
from qytet_api.observations.formats import MEDIA_TYPES, chosen
from qytet_api.observations.schemas import Format, Observations, Order, Resolution
from qytet_api.paging import Cursor
from qytet_api.problems import responses
from qytet_api.streaming import PacedStream

router = APIRouter(prefix="/v1/observations", tags=["Readings"])


def _storable(instant: datetime) -> datetime:
    """In UTC; an instant that leaves the calendar by it cannot be asked for."""
    try:
        return instant.astimezone(UTC)
    except OverflowError:
        raise ValueError("lies outside the years 1 to 9999") from None


Instant = Annotated[AwareDatetime, AfterValidator(_storable)]
_EXAMPLE = "2026-11-02T00:00:00Z"
_TYPES: dict[str, Any] = {
    MEDIA_TYPES[Format.NDJSON]: {"schema": {"type": "string", "description": "One JSON object a line."}},
    MEDIA_TYPES[Format.CSV]: {"schema": {"type": "string", "description": "RFC 4180 with a header line."}},
}


@router.get(
    "",
    response_model=Observations,
    responses={200: {"content": _TYPES}, **responses(404, 406, 422)},
    summary="Observations",
)
async def observations(
    request: Request,
    database: Reader,
    datastream: Annotated[int | None, Query(ge=1, le=2**31 - 1, description="The datastream.")] = None,
    device: DeviceName = None,
    key: Key = None,
    from_: Annotated[
        Instant | None,
        Query(alias="from", description="First instant, RFC 3339 with a zone.", examples=[_EXAMPLE]),
    ] = None,
    to: Annotated[
        Instant | None, Query(description="End, itself left out, RFC 3339 with a zone.", examples=[_EXAMPLE])
    ] = None,
    resolution: Annotated[Resolution, Query(description="Readings, or aggregates.")] = Resolution.RAW,
    order: Annotated[Order, Query(description="Oldest or newest first.")] = Order.ASC,
    limit: Annotated[
        int | None,
        Query(
            ge=1,
            le=100_000,
            description="Rows of a page. Without it JSON gives `api.page_size` rows, NDJSON and CSV all rows.",
        ),
    ] = None,
    cursor: Cursor = None,
    format_: Annotated[
        Format | None, Query(alias="format", description="Wins over the Accept header.")
    ] = None,
    accept: Annotated[str, Header(max_length=1000)] = "",
) -> PacedStream:
    """One datastream's readings or aggregates, in time order.

    Say which: `datastream`, or `device` and `key` (the newest datastream of that key). JSON comes in pages
    with `next`; NDJSON and CSV are streamed whole, or in pages with a Link header if `limit` is given.
    """
    wanted = chosen(format_, accept)
    if limit is None and wanted is Format.JSON:
        limit = request.app.state.settings.api.page_size
    stream = await service.find_stream(database, datastream, device, key)
    question = service.Question(resolution, order, from_, to, limit, cursor)
    return await service.respond(request, database, request.app.state.gate, stream, question, wanted)
