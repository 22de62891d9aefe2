"""Addresses of observed properties."""

from typing import Annotated, Any

from fastapi import APIRouter, Query

from qytet.units import display
from qytet_api.dependencies import Reader
from qytet_api.paging import Page
from qytet_api.problems import responses
from qytet_api.properties import queries
from qytet_api.properties.schemas import ObservedProperty

router = APIRouter(prefix="/v1/properties", tags=["Registry"])


@router.get(
    "", response_model=Page[ObservedProperty], responses=responses(422), summary="Observed properties"
)
async def properties(
    database: Reader,
    domain: Annotated[
        str | None, Query(pattern=r"^[a-z_]{1,40}$", description="Only this domain.", examples=["water"])
    ] = None,
) -> dict[str, Any]:
    """The whole catalogue on one page: units, ranges, aggregation and standards."""
    rows = await database.rows(queries.PROPERTIES, {"domain": domain})
    return {"items": [{**row, "unit": display(row["ucum"])} for row in rows], "next": None}
