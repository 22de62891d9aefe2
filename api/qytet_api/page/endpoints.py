"""Addresses of the first page and its files."""

from functools import cache
from pathlib import Path as FilePath
from typing import Annotated

from fastapi import APIRouter, Path, Request
from fastapi.responses import HTMLResponse
from starlette.staticfiles import StaticFiles

from qytet_api.dependencies import SLUG

__all__ = ["files", "router"]

router = APIRouter(include_in_schema=False)

_FOLDER = FilePath(__file__).parent / "static"


def files() -> StaticFiles:
    """The page's scripts and styles."""
    return StaticFiles(directory=_FOLDER)


@cache
def _html(language: str) -> str:
    """The page in the platform's language; a visitor may choose the other."""
    text = (_FOLDER / "index.html").read_text(encoding="utf-8")
    return text.replace('<html lang="sq">', f'<html lang="{language}">', 1)


@router.get("/")
async def country(request: Request) -> HTMLResponse:
    """All cities."""
    return _answer(request)


@router.get("/city/{slug}")
async def city(request: Request, slug: Annotated[str, Path(pattern=SLUG)]) -> HTMLResponse:  # noqa: ARG001
    """One city; its script reads the name from the address and says so if there is no such city."""
    return _answer(request)


def _answer(request: Request) -> HTMLResponse:
    language = request.app.state.settings.language
    return HTMLResponse(_html(language), headers={"cache-control": "no-cache"})
