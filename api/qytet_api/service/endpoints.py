"""Addresses of this service's own state."""

from importlib import metadata

from fastapi import APIRouter, Request, Response

from qytet_api.dependencies import Reader
from qytet_api.problems import responses, unavailable
from qytet_api.service import queries
from qytet_api.service.schemas import Health, Ready, Version

router = APIRouter(tags=["Service"])


@router.get("/v1/health", summary="Is the process alive?")
async def health() -> Health:
    """Answers without asking the database."""
    return Health(status="ok")


@router.get("/v1/ready", responses=responses(), summary="Can it answer questions?")
async def ready(database: Reader) -> Ready:
    """Asks the database; 503 if it cannot be reached or its migrations are not current."""
    missing = await database.rows(queries.MISSING_VIEWS, {"views": queries.VIEWS})
    if missing:
        names = ", ".join(row["view"] for row in missing)
        raise unavailable(f"The database lacks these views: {names}. Run `qytet db migrate`.")
    return Ready(status="ready")


@router.get("/v1/version", summary="What runs?")
async def version() -> Version:
    """Name and version."""
    return Version(name="qytet", version=metadata.version("qytet"), api="v1")


@router.get("/metrics", summary="Metrics", response_class=Response)
async def metrics(request: Request) -> Response:
    """Counters and durations for Prometheus."""
    state = request.app.state
    state.metrics.live_clients.set(state.hub.readers)
    text, media_type = state.metrics.render(state.database.stats())
    return Response(text, media_type=media_type)
