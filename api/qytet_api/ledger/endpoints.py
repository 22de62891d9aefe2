"""Addresses of the delivery ledger."""

from typing import Annotated, Any

from fastapi import APIRouter, Query, Request

from qytet_api.dependencies import CitySlug, DeviceName, Reader, Rows
from qytet_api.ledger import queries
from qytet_api.ledger.schemas import Delivery, Gap, Totals
from qytet_api.paging import Cursor, Page, decode, page
from qytet_api.problems import responses

router = APIRouter(prefix="/v1/ledger", tags=["Delivery"])


@router.get("", response_model=Page[Delivery], responses=responses(422), summary="Ledger")
async def ledger(
    request: Request,
    database: Reader,
    rows: Rows,
    city: CitySlug = None,
    device: DeviceName = None,
    cursor: Cursor = None,
) -> dict[str, Any]:
    """What became of the records of each boot, by device and boot."""
    after_device, after_boot = decode(cursor, str, str)
    params = {
        "city": city,
        "device": device,
        "after_device": after_device,
        "after_boot": after_boot,
        "rows": rows + 1,
    }
    return page(request, await database.rows(queries.LEDGER, params), rows, ("device", "boot"))


@router.get("/totals", response_model=Totals, responses=responses(422), summary="Ledger, summed")
async def totals(database: Reader, city: CitySlug = None) -> dict[str, Any]:
    """What became of all records, of one city or of all."""
    return (await database.rows(queries.TOTALS, {"city": city}))[0]


@router.get("/gaps", response_model=Page[Gap], responses=responses(422), summary="Gaps")
async def gaps(
    request: Request,
    database: Reader,
    rows: Rows,
    city: CitySlug = None,
    device: DeviceName = None,
    boot: Annotated[str | None, Query(pattern=r"^[0-9a-f]{8}$", description="Only this boot.")] = None,
    cursor: Cursor = None,
) -> dict[str, Any]:
    """Each run of sequence numbers that is missing or was dropped."""
    after_device, after_boot, after_seq = decode(cursor, str, str, int)
    params = {
        "city": city,
        "device": device,
        "boot": boot,
        "after_device": after_device,
        "after_boot": after_boot,
        "after_seq": after_seq,
        "rows": rows + 1,
    }
    return page(request, await database.rows(queries.GAPS, params), rows, ("device", "boot", "first_seq"))
