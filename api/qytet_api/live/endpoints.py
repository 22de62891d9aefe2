"""Addresses of what changes."""

from contextlib import AsyncExitStack
from typing import Annotated, Any

from fastapi import APIRouter, Path, Request
from starlette.responses import StreamingResponse

from qytet_api.cities import queries as cities
from qytet_api.dependencies import SLUG, Reader
from qytet_api.live.hub import Hub
from qytet_api.problems import not_found, responses
from qytet_api.streaming import PacedStream

router = APIRouter(prefix="/v1/live", tags=["Readings"])

_EVENTS: dict[int | str, dict[str, Any]] = {
    200: {"content": {"text/event-stream": {"schema": {"type": "string"}}}, "description": "Events"}
}


@router.get(
    "/{city}",
    response_class=StreamingResponse,
    responses={**_EVENTS, **responses(404, 422)},
    summary="Changes as they happen",
)
async def live(request: Request, database: Reader, city: Annotated[str, Path(pattern=SLUG)]) -> PacedStream:
    """Server-sent events of one city, at most one a second, each with the server's time `now`.

    `snapshot` holds all newest readings (`latest`) and `devices`; `changes` those that changed since;
    `trouble` says since when the database does not answer; `beat` comes when nothing else does.
    """
    if await database.row(cities.CITIES, {"city": city}) is None:
        raise not_found("city", city)
    hub: Hub = request.app.state.hub
    async with AsyncExitStack() as stack:
        reader = await stack.enter_async_context(hub.reader(city))
        return PacedStream(
            reader.events(hub.stopping),
            held=stack.pop_all(),
            media_type="text/event-stream",
            headers={"cache-control": "no-store", "x-accel-buffering": "no"},
        )
    raise AssertionError("unreachable")
