"""What endpoints are handed: the database, the page size, and parameters that several resources share."""

from typing import Annotated

from fastapi import Depends, Query, Request

from qytet_api.database import Database
from qytet_api.paging import Limit

__all__ = ["CitySlug", "DeviceName", "Key", "Reader", "Rows"]

SLUG = r"^[a-z0-9_-]{1,64}$"

CitySlug = Annotated[str | None, Query(pattern=SLUG, description="Only this city.", examples=["tirana"])]
DeviceName = Annotated[
    str | None, Query(pattern=SLUG, description="Only this device.", examples=["tirana-air-01"])
]
Key = Annotated[
    str | None,
    Query(
        pattern=r"^[a-z0-9_]{1,64}(:[a-z0-9_-]{1,24})?$",
        description="A property, or property:channel.",
        examples=["vehicle_count:lane2"],
    ),
]


def _database(request: Request) -> Database:
    database: Database = request.app.state.database
    return database


def _page_rows(request: Request, limit: Limit = None) -> int:
    default: int = request.app.state.settings.api.page_size
    return limit or min(default, 10_000)


Reader = Annotated[Database, Depends(_database)]
Rows = Annotated[int, Depends(_page_rows)]
