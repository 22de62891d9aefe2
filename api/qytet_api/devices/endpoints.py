"""Addresses of devices."""

from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Request

from qytet_api.dependencies import SLUG, CitySlug, Reader, Rows
from qytet_api.devices import queries
from qytet_api.devices.schemas import Device, State
from qytet_api.paging import Cursor, Page, decode, page
from qytet_api.problems import not_found, responses

router = APIRouter(prefix="/v1/devices", tags=["Registry"])


@router.get("", response_model=Page[Device], responses=responses(422), summary="Devices")
async def devices(
    request: Request,
    database: Reader,
    rows: Rows,
    city: CitySlug = None,
    site: Annotated[str | None, Query(pattern=SLUG, description="Only this site.")] = None,
    profile: Annotated[str | None, Query(pattern=SLUG, description="Only this kind of device.")] = None,
    state: Annotated[State | None, Query(description="Only devices in this state.")] = None,
    cursor: Cursor = None,
) -> dict[str, Any]:
    """Devices by name, with their state and when they were last heard."""
    (after,) = decode(cursor, str)
    params = {
        "city": city,
        "site": site,
        "profile": profile,
        "state": state,
        "device": None,
        "after": after,
        "rows": rows + 1,
    }
    return page(request, await database.rows(queries.DEVICES, params), rows, ("device",))


@router.get("/{device}", response_model=Device, responses=responses(404, 422), summary="One device")
async def device(database: Reader, device: Annotated[str, Path(pattern=SLUG)]) -> dict[str, Any]:
    """One device by its name."""
    nothing = dict.fromkeys(("city", "site", "profile", "state", "after"))
    found = await database.row(queries.DEVICES, {**nothing, "device": device, "rows": 1})
    if found is None:
        raise not_found("device", device)
    return found
