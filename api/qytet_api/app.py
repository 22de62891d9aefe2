"""Puts the API together: resources, errors, security, metrics, and the lifetime of the pool."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib import metadata
from typing import Any

from fastapi import FastAPI

from qytet import log
from qytet.settings import Settings
from qytet_api import problems
from qytet_api.cities.endpoints import router as cities
from qytet_api.database import Database, Pool, make_pool
from qytet_api.datastreams.endpoints import router as datastreams
from qytet_api.deadletters.endpoints import router as deadletters
from qytet_api.devices.endpoints import router as devices
from qytet_api.flash.endpoints import router as flash
from qytet_api.latest.endpoints import router as latest
from qytet_api.ledger.endpoints import router as ledger
from qytet_api.live.endpoints import router as live
from qytet_api.live.hub import Hub
from qytet_api.messages.endpoints import router as messages
from qytet_api.metrics import CountRequests, Metrics
from qytet_api.observations.endpoints import router as observations
from qytet_api.page.endpoints import files
from qytet_api.page.endpoints import router as page
from qytet_api.properties.endpoints import router as properties
from qytet_api.security import SecurityHeaders, refuse_open_door
from qytet_api.service.endpoints import router as service
from qytet_api.sites.endpoints import router as sites
from qytet_api.streaming import StreamGate
from qytet_api.undated.endpoints import router as undated

__all__ = ["create_app"]

_ROUTERS = (
    cities,
    sites,
    devices,
    datastreams,
    properties,
    observations,
    latest,
    live,
    ledger,
    undated,
    deadletters,
    messages,
    service,
    page,
    flash,
)
_DESCRIPTION = """
Readings of a city's sensors, and the account of their delivery.

Times are RFC 3339 in UTC. Every value travels with its unit in UCUM. Quality flags are QARTOD's:
1 good, 2 not evaluated, 3 suspect, 4 fail, 9 missing. Lists come in pages: follow `next` until it is null;
no row is skipped or repeated while rows arrive. Errors are problem documents (RFC 9457). Dead letters are
for operators: send `Authorization: Bearer …`.
"""


def create_app(settings: Settings, pool: Pool | None = None) -> FastAPI:
    """The application; it opens and closes its pool. Raises SettingsError for settings that are unsafe."""
    refuse_open_door(settings.api.host, settings.api)
    own_pool = pool or make_pool(settings.database)
    app = FastAPI(
        title="Qytet",
        version=metadata.version("qytet"),
        description=_DESCRIPTION,
        lifespan=_lifespan,
        docs_url=None,  # they load scripts from elsewhere
        redoc_url=None,
    )
    app.state.settings = settings
    app.state.pool = own_pool
    app.state.database = Database(own_pool)
    app.state.gate = StreamGate(settings.database.pool_size)
    app.state.metrics = Metrics()
    app.state.hub = Hub(app.state.database)
    for router in _ROUTERS:
        app.include_router(router)
    app.mount("/static", files(), name="static")
    problems.install(app)
    app.add_middleware(problems.AnswerBugs)  # the innermost: a bug is counted and bears the headers, too
    app.add_middleware(CountRequests, metrics=app.state.metrics)
    app.add_middleware(SecurityHeaders)
    _document_problems(app)
    return app


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    """The pool opens without waiting: an absent database is 503, not a failed start."""
    pool: Pool = app.state.pool
    await pool.open(wait=False)
    log.get("api").info("started")
    try:
        yield
    finally:
        await app.state.hub.close()
        await pool.close(timeout=5)
        log.get("api").info("stopped")


def _document_problems(app: FastAPI) -> None:
    """Put the problem document's schema into the OpenAPI document, which refers to it."""
    made = app.openapi

    def openapi() -> dict[str, Any]:
        document = made()
        schemas = document.setdefault("components", {}).setdefault("schemas", {})
        schemas["Problem"] = problems.Problem.model_json_schema()
        schemas.pop("HTTPValidationError", None)
        schemas.pop("ValidationError", None)
        return document

    app.openapi = openapi  # type: ignore[method-assign]
