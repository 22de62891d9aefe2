"""Addresses of the flashing page: itself, its scripts, esptool-js, and the files that it writes onto boards.

Everyone may read them, as every page: they hold the same for every device and nothing secret. What is a device's own
(its password, the Wi-Fi's) is typed into the page and goes over the cable only.
"""

from dataclasses import asdict
from functools import cache
from html import escape
from pathlib import Path as FilePath
from typing import Annotated, Any

from fastapi import APIRouter, Path, Request, Response
from fastapi.responses import FileResponse, HTMLResponse, JSONResponse

from qytet import messages
from qytet_api.flash.fetch import VENDOR
from qytet_api.flash.files import FlashFolder
from qytet_api.problems import not_found

__all__ = ["router"]

router = APIRouter(prefix="/flash", include_in_schema=False)

_STATIC = FilePath(__file__).parent / "static"
_SCRIPT = "esptool.js"
_FILES = {file.name: file for file in _STATIC.iterdir() if file.suffix in {".js", ".css"}}
_TYPES = {".js": "text/javascript; charset=utf-8", ".css": "text/css; charset=utf-8"}
_NO_CACHE = {"cache-control": "no-cache"}
_CHIP = r"^[a-z0-9]{1,16}$"


@router.get("")
def page(request: Request) -> HTMLResponse:
    """The page; 503 and what to run where esptool-js was never fetched."""
    language = request.app.state.settings.language
    if not (VENDOR / _SCRIPT).is_file():
        return HTMLResponse(_without_esptool(language), status_code=503, headers=_NO_CACHE)
    return HTMLResponse(_html(language), headers=_NO_CACHE)


@router.get("/static/{name}")
def static(name: str) -> FileResponse:
    """A script or style of the page."""
    if name not in _FILES:
        raise not_found("file", name)
    return FileResponse(_FILES[name], media_type=_TYPES[_FILES[name].suffix], headers=_NO_CACHE)


@router.get("/vendor/esptool.js")
def esptool() -> FileResponse:
    """esptool-js, as its authors bundle it."""
    if not (VENDOR / _SCRIPT).is_file():
        raise not_found("file", _SCRIPT)
    return FileResponse(VENDOR / _SCRIPT, media_type=_TYPES[".js"], headers=_NO_CACHE)


@router.get("/files")
def listing(request: Request) -> JSONResponse:
    """What the operator's folder holds, with sizes and SHA-256, and what is wrong with it."""
    found = _folder(request).listing()
    program: dict[str, Any] | None = None
    if found.program:
        program = {
            "version": found.program.version,
            "size": len(found.program.content),
            "sha256": found.program.sha256,
        }
    images = {
        one.chip: {"offset": one.offset, "size": len(one.content), "sha256": one.sha256}
        for one in found.images
    }
    content = {"program": program, "images": images, "problems": [asdict(one) for one in found.problems]}
    return JSONResponse(content, headers=_NO_CACHE)


@router.get("/files/program.json")
def program(request: Request) -> Response:
    """The node's program."""
    found = _folder(request).program()
    if found is None:
        raise not_found("file", "program.json")
    return Response(found.content, media_type="application/json", headers=_NO_CACHE)


@router.get("/files/images/{chip}")
def image(request: Request, chip: Annotated[str, Path(pattern=_CHIP)]) -> Response:
    """A chip's MicroPython image; its bytes have just been checked."""
    found = _folder(request).image(chip)
    if found is None:
        raise not_found("image for the chip", chip)
    return Response(found.content, media_type="application/octet-stream", headers=_NO_CACHE)


def _folder(request: Request) -> FlashFolder:
    return FlashFolder(request.app.state.settings.api.flash_folder)


@cache
def _html(language: str) -> str:
    text = (_STATIC / "index.html").read_text(encoding="utf-8")
    return text.replace('<html lang="sq">', f'<html lang="{language}">', 1)


@cache
def _without_esptool(language: str) -> str:
    """A page that needs no script, in both languages, the platform's first."""
    text = (_STATIC / "missing.html").read_text(encoding="utf-8")
    order = sorted(messages.LANGUAGES, key=lambda one: one != language)
    parts = [
        f'<section lang="{one}"><h1>{escape(messages.text("flash.missing_title", one))}</h1>'
        f"<p>{escape(messages.text('flash.missing_do', one))}</p></section>"
        for one in order
    ]
    return text.replace('<html lang="sq">', f'<html lang="{language}">', 1).replace(
        "<!-- said -->", "\n".join(parts)
    )
