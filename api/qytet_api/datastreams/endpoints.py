"""Addresses of datastreams."""

from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Request

from qytet_api.datastreams import queries
from qytet_api.datastreams.schemas import Datastream
from qytet_api.dependencies import CitySlug, DeviceName, Reader, Rows
from qytet_api.paging import Cursor, Page, decode, page
from qytet_api.problems import not_found, responses

router = APIRouter(prefix="/v1/datastreams", tags=["Registry"])

Number = Annotated[int, Path(ge=1, le=2**31 - 1)]


@router.get("", response_model=Page[Datastream], responses=responses(422), summary="Datastreams")
async def datastreams(
    request: Request,
    database: Reader,
    rows: Rows,
    city: CitySlug = None,
    device: DeviceName = None,
    property_: Annotated[
        str | None,
        Query(alias="property", pattern=r"^[a-z0-9_]{1,64}$", description="Only this observed property."),
    ] = None,
    cursor: Cursor = None,
) -> dict[str, Any]:
    """Datastreams by number."""
    (after,) = decode(cursor, int)
    params = {
        "city": city,
        "device": device,
        "property": property_,
        "id": None,
        "after": after,
        "rows": rows + 1,
    }
    return page(request, await database.rows(queries.DATASTREAMS, params), rows, ("datastream_id",))


@router.get(
    "/{datastream_id}", response_model=Datastream, responses=responses(404, 422), summary="One datastream"
)
async def datastream(database: Reader, datastream_id: Number) -> dict[str, Any]:
    """One datastream by its number."""
    nothing = dict.fromkeys(("city", "device", "property", "after"))
    found = await database.row(queries.DATASTREAMS, {**nothing, "id": datastream_id, "rows": 1})
    if found is None:
        raise not_found("datastream", datastream_id)
    return found
