"""Addresses of sites."""

from typing import Any

from fastapi import APIRouter, Request

from qytet_api.dependencies import CitySlug, Reader, Rows
from qytet_api.paging import Cursor, Page, decode, page
from qytet_api.problems import responses
from qytet_api.sites import queries
from qytet_api.sites.schemas import Site

router = APIRouter(prefix="/v1/sites", tags=["Registry"])


@router.get("", response_model=Page[Site], responses=responses(422), summary="Sites")
async def sites(
    request: Request, database: Reader, rows: Rows, city: CitySlug = None, cursor: Cursor = None
) -> dict[str, Any]:
    """The places where devices stand, by city and short name."""
    after_city, after_site = decode(cursor, str, str)
    params = {"city": city, "after_city": after_city, "after_site": after_site, "rows": rows + 1}
    return page(request, await database.rows(queries.SITES, params), rows, ("city", "site"))
