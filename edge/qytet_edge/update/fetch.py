"""Fetches a bundle over HTTPS, piece by piece over a bad line, and lets through only what has the wanted SHA-256."""

import hashlib
import http.client
import shutil
import ssl
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import IO
from urllib.parse import urlsplit

from qytet.errors import InputError

__all__ = ["MOST", "check_url", "fetch"]

MOST = 300_000_000  # bytes of a bundle
SPARE = 30_000_000  # bytes that stay free for the spool
LONGEST_S = 3600.0
"""What one attempt may take, however busily the server drips; the next one goes on where it ended."""
_CHUNK = 1 << 16
_SILENCE_S = 60.0
_PARTIAL = http.HTTPStatus.PARTIAL_CONTENT
_ANEW = (http.HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE, http.HTTPStatus.TOO_MANY_REQUESTS)


def check_url(url: str) -> None:
    """Refuse what is not https, or http to this very machine. Raises InputError."""
    parts = urlsplit(url)
    local = parts.hostname in ("localhost", "127.0.0.1", "::1")
    if not parts.hostname or not (parts.scheme == "https" or (parts.scheme == "http" and local)):
        raise InputError(
            "A bundle is fetched by https only.", why=f"The address begins with {parts.scheme[:10]!r}."
        )


class _Redirects(urllib.request.HTTPRedirectHandler):
    """Follows to https only: no server may send us to what listens on this machine."""

    def redirect_request(
        self,
        req: urllib.request.Request,
        fp: IO[bytes],
        code: int,
        msg: str,
        headers: http.client.HTTPMessage,
        newurl: str,
    ) -> urllib.request.Request | None:
        check_url(newurl)
        if urlsplit(newurl).scheme != "https" == urlsplit(req.full_url).scheme:
            raise InputError(
                "A bundle is fetched by https only.", why="The server points to another address."
            )
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def fetch(
    url: str,
    sha256: str,
    to: Path,
    stop: threading.Event,
    *,
    most: int = MOST,
    spare: int = SPARE,
    longest_s: float = LONGEST_S,
) -> None:
    """Write what is at `url` to `to`; goes on where an earlier attempt broke off. Blocking: call it in a thread.

    Raises InputError if it is too big for us or for the disk (of which `spare` bytes stay free), or not what was
    wanted; OSError if the line or the disk fails, or after `stop` or `longest_s`.
    """
    check_url(url)
    part = to.with_name(to.name + ".part")
    have = part.stat().st_size if part.exists() else 0
    request = urllib.request.Request(url, headers={"Range": f"bytes={have}-"} if have else {})  # noqa: S310 (checked)
    opener = urllib.request.build_opener(
        _Redirects, urllib.request.HTTPSHandler(context=ssl.create_default_context())
    )
    try:
        with opener.open(request, timeout=_SILENCE_S) as answer:
            goes_on = have > 0 and answer.status == _PARTIAL
            with part.open("ab" if goes_on else "wb") as file:
                for chunk in _chunks(answer, stop, time.monotonic() + longest_s):
                    _check_room(file.tell() + len(chunk), part, most, spare)
                    file.write(chunk)
    except urllib.error.HTTPError as error:
        error.close()
        part.unlink(missing_ok=True)
        if error.code >= 500 or error.code in _ANEW:
            raise OSError(f"the server answers {error.code}") from error
        raise InputError("The bundle cannot be fetched.", why=f"The server answers {error.code}.") from error
    except http.client.HTTPException as error:
        raise OSError(f"the line broke: {error!r}") from error
    with part.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != sha256:
        part.unlink()
        raise InputError("What was fetched is not the bundle that was meant.", why=f"Its SHA-256 is {found}.")
    part.replace(to)


def _chunks(answer: http.client.HTTPResponse, stop: threading.Event, until: float) -> Iterator[bytes]:
    """What comes, as it comes. Raises OSError if it ends too early, takes too long, or is to end."""
    while True:
        if stop.is_set():
            raise OSError("the gateway is ending")
        if not (chunk := answer.read1(_CHUNK)):
            break
        yield chunk  # before a look at the clock: each attempt gets on, however slow line and machine are
        if answer.length != 0 and time.monotonic() > until:
            raise OSError("the server is too slow")
    if answer.length:
        raise OSError(f"the line broke {answer.length:,} bytes before the end")


def _check_room(size: int, part: Path, most: int, spare: int) -> None:
    if size > most:
        raise InputError(f"The bundle is bigger than {most:,} bytes.")
    free = shutil.disk_usage(part.parent).free
    if free < spare:
        part.unlink()  # the spool needs the room more
        raise InputError("The disk has no room for the bundle.", why=f"{free:,} bytes are free.")
