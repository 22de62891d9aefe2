"""How errors leave the API: RFC 9457 problem documents, for every status and without internals."""

from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import Any
from urllib.parse import quote

import psycopg
import psycopg_pool
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from qytet import log

__all__ = [
    "MEDIA_TYPE",
    "AnswerBugs",
    "Problem",
    "ProblemError",
    "install",
    "not_found",
    "responses",
    "unavailable",
]

MEDIA_TYPE = "application/problem+json"
RETRY_SECONDS = 5

_log = log.get("api")


class Problem(BaseModel):
    """A problem document (RFC 9457)."""

    type: str = Field(
        description="A URI that names the kind of problem; about:blank if the status says it all."
    )
    title: str = Field(description="The kind of problem in a few words.")
    status: int = Field(description="The HTTP status once more.")
    detail: str = Field(description="What happened this time, and what to do about it.")
    instance: str = Field(description="The path that was asked for, percent-encoded.")
    errors: list[dict[str, Any]] | None = Field(
        None, description="422 only: each wrong parameter (`where`) and what is wrong with it (`what`)."
    )


class ProblemError(Exception):
    """Raised below the endpoints; becomes a problem document with `status`, `detail` and `headers`."""

    def __init__(self, status: int, detail: str, *, headers: dict[str, str] | None = None) -> None:
        super().__init__(status, detail)
        self.status = status
        self.detail = detail
        self.headers = headers or {}


def not_found(what: str, name: object) -> ProblemError:
    """404: there is no `what` of that `name`."""
    return ProblemError(404, f"There is no {what} {name!s}.")


def unavailable(detail: str) -> ProblemError:
    """503 with Retry-After: it will pass by itself."""
    return ProblemError(503, detail, headers={"Retry-After": str(RETRY_SECONDS)})


def responses(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The OpenAPI entries of those error statuses; 503 and 500 belong to every resource."""
    return {
        status: {
            "description": HTTPStatus(status).phrase,
            "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}},
        }
        for status in sorted({*statuses, 500, 503})
    }


def install(app: FastAPI) -> None:
    """Make every error that leaves `app` a problem document."""
    handlers: dict[type[Exception], Callable[[Request, Any], Awaitable[Response]]] = {
        ProblemError: _on_problem,
        HTTPException: _on_http,
        RequestValidationError: _on_validation,
        psycopg_pool.PoolTimeout: _on_database,
        psycopg_pool.TooManyRequests: _on_database,
        psycopg_pool.PoolClosed: _on_database,
        psycopg.OperationalError: _on_database,
        Exception: _on_bug,
    }
    for kind, handler in handlers.items():
        app.add_exception_handler(kind, handler)


def _document(
    request: Request,
    status: int,
    detail: str,
    *,
    headers: dict[str, str] | None = None,
    errors: list[dict[str, Any]] | None = None,
) -> Response:
    problem = Problem(
        type="about:blank",
        title=HTTPStatus(status).phrase,
        status=status,
        detail=detail,
        instance=quote(request.scope["path"]),
        errors=errors,
    )
    return JSONResponse(
        problem.model_dump(exclude_none=True), status_code=status, media_type=MEDIA_TYPE, headers=headers
    )


async def _on_problem(request: Request, error: ProblemError) -> Response:
    return _document(request, error.status, error.detail, headers=error.headers)


async def _on_http(request: Request, error: HTTPException) -> Response:
    details = {
        404: "There is nothing at this address. /openapi.json lists what there is.",
        405: "This address does not know that method.",
    }
    detail = details.get(error.status_code, str(error.detail))
    return _document(request, error.status_code, detail, headers=dict(error.headers or {}))


async def _on_validation(request: Request, error: RequestValidationError) -> Response:
    errors = [{"where": ".".join(map(str, item["loc"])), "what": str(item["msg"])} for item in error.errors()]
    detail = "; ".join(f"{item['where']}: {item['what']}" for item in errors)
    return _document(request, 422, detail, errors=errors)


async def _on_database(request: Request, error: Exception) -> Response:
    _log.warning("database_unavailable", path=request.url.path, error=type(error).__name__)
    if isinstance(error, psycopg.errors.QueryCanceled):
        detail = "The question took the database too long. Ask for a shorter time or a coarser resolution."
    else:
        detail = "The database cannot be reached or is overloaded at the moment. Try again shortly."
    return await _on_problem(request, unavailable(detail))


async def _on_bug(request: Request, error: Exception) -> Response:
    _log.error("unexpected_error", path=request.url.path, exc_info=error)
    return _document(request, 500, "Something went wrong on the server. It has been logged.")


class AnswerBugs:
    """Answers what no handler expected, within the other layers: Starlette's own answer would pass them by."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on; raises only what happens after the answer has begun."""
        begun = False

        async def noted(message: Message) -> None:
            nonlocal begun
            begun = True
            await send(message)

        try:
            await self._app(scope, receive, noted)
        except Exception as error:
            if scope["type"] != "http" or begun:
                raise
            answer = await _on_bug(Request(scope), error)
            await answer(scope, receive, send)
