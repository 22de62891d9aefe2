"""Addresses of newest readings."""

from typing import Annotated, Any

from fastapi import APIRouter, Query, Request

from qytet_api.dependencies import CitySlug, DeviceName, Reader, Rows
from qytet_api.latest import queries
from qytet_api.latest.schemas import Latest
from qytet_api.paging import Cursor, Page, decode, page
from qytet_api.problems import responses

router = APIRouter(prefix="/v1/latest", tags=["Readings"])


@router.get("", response_model=Page[Latest], responses=responses(422), summary="Newest readings")
async def latest(
    request: Request,
    database: Reader,
    rows: Rows,
    city: CitySlug = None,
    domain: Annotated[str | None, Query(pattern=r"^[a-z_]{1,40}$", description="Only this domain.")] = None,
    device: DeviceName = None,
    cursor: Cursor = None,
) -> dict[str, Any]:
    """The newest reading of each datastream, by the datastream's number."""
    (after,) = decode(cursor, int)
    params = {"city": city, "domain": domain, "device": device, "after": after, "rows": rows + 1}
    return page(request, await database.rows(queries.LATEST, params), rows, ("datastream_id",))
