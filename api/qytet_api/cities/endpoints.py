"""Addresses of cities."""

from typing import Annotated, Any

from fastapi import APIRouter, Path

from qytet_api.cities import queries
from qytet_api.cities.schemas import City
from qytet_api.dependencies import SLUG, Reader
from qytet_api.paging import Page
from qytet_api.problems import not_found, responses

router = APIRouter(prefix="/v1/cities", tags=["Registry"])


@router.get("", response_model=Page[City], responses=responses(), summary="Cities")
async def cities(database: Reader) -> dict[str, Any]:
    """All cities, by short name, on one page."""
    return {"items": await database.rows(queries.CITIES, {"city": None}), "next": None}


@router.get("/{city}", response_model=City, responses=responses(404, 422), summary="One city")
async def city(database: Reader, city: Annotated[str, Path(pattern=SLUG)]) -> dict[str, Any]:
    """One city by its short name."""
    found = await database.row(queries.CITIES, {"city": city})
    if found is None:
        raise not_found("city", city)
    return found
