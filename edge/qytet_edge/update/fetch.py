"""Fetches a bundle over HTTPS, piece by piece over a bad line, and lets through only what has the wanted SHA-256."""

import hashlib
import http.client
import ssl
import threading
import urllib.error
import urllib.request
from pathlib import Path
from typing import IO
from urllib.parse import urlsplit

from qytet.errors import InputError

__all__ = ["MOST", "check_url", "fetch"]

MOST = 300_000_000  # bytes of a bundle
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
    """Follows to https only."""

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
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def fetch(url: str, sha256: str, to: Path, stop: threading.Event, *, most: int = MOST) -> None:
    """Write what is at `url` to `to`; goes on where an earlier attempt broke off. Blocking: call it in a thread.

    Raises InputError if it is too big or not what was wanted, OSError if the line or the disk fails, or after `stop`.
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
            _take(answer, part, have if goes_on else 0, most, stop)
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


def _take(answer: http.client.HTTPResponse, part: Path, have: int, most: int, stop: threading.Event) -> None:
    with part.open("ab" if have else "wb") as file:
        while chunk := answer.read(_CHUNK):
            if stop.is_set():
                raise OSError("the gateway is ending")
            have += len(chunk)
            if have > most:
                raise InputError(f"The bundle is bigger than {most:,} bytes.")
            file.write(chunk)
    if answer.length:  # read() of a number of bytes does not raise for a short body
        raise OSError(f"the line broke {answer.length:,} bytes before the end")
