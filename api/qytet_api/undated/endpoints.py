"""Addresses of records without a time."""

from typing import Any

from fastapi import APIRouter, Request

from qytet_api.dependencies import DeviceName, Reader, Rows
from qytet_api.paging import Cursor, Page, decode, page
from qytet_api.problems import responses
from qytet_api.undated import queries
from qytet_api.undated.schemas import Undated

router = APIRouter(prefix="/v1/undated", tags=["Delivery"])


@router.get("", response_model=Page[Undated], responses=responses(422), summary="Undated records")
async def undated(
    request: Request, database: Reader, rows: Rows, device: DeviceName = None, cursor: Cursor = None
) -> dict[str, Any]:
    """Records that wait for their time, by device, boot and sequence number."""
    after_device, after_boot, after_seq = decode(cursor, str, str, int)
    params = {
        "device": device,
        "after_device": after_device,
        "after_boot": after_boot,
        "after_seq": after_seq,
        "rows": rows + 1,
    }
    return page(request, await database.rows(queries.UNDATED, params), rows, ("device", "boot", "seq"))
