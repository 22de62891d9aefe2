"""Addresses of dead letters."""

from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Request

from qytet_api.deadletters import service
from qytet_api.deadletters.schemas import DeadLetter, DeadLetterWhole
from qytet_api.dependencies import Reader, Rows
from qytet_api.paging import Cursor, Page, decode, page
from qytet_api.problems import responses
from qytet_api.security import Caller

router = APIRouter(prefix="/v1/deadletters", tags=["Delivery"])

Claimed = Annotated[
    str | None, Query(max_length=200, pattern=r"^[^\x00]*$", description="Only this claimed device.")
]


@router.get("", response_model=Page[DeadLetter], responses=responses(401, 403, 422), summary="Dead letters")
async def deadletters(
    request: Request,
    database: Reader,
    caller: Caller,
    rows: Rows,
    reason: Annotated[
        str | None, Query(pattern=r"^[a-z0-9_]{1,40}$", description="Only this reason.")
    ] = None,
    device: Claimed = None,
    open_: Annotated[
        bool | None, Query(alias="open", description="true: not yet replayed; false: replayed.")
    ] = None,
    cursor: Cursor = None,
) -> dict[str, Any]:
    """What could not be stored, newest first. For operators."""
    (after,) = decode(cursor, int)
    params = {"reason": reason, "device": device, "open": open_, "after": after, "rows": rows + 1}
    return page(request, await service.find(caller, database, params), rows, ("dead_letter_id",))


@router.get(
    "/{dead_letter_id}",
    response_model=DeadLetterWhole,
    responses=responses(401, 403, 404, 422),
    summary="One dead letter",
)
async def deadletter(
    database: Reader, caller: Caller, dead_letter_id: Annotated[int, Path(ge=1, le=2**63 - 1)]
) -> dict[str, Any]:
    """One dead letter with its bytes. For operators."""
    return await service.one(caller, database, dead_letter_id)
