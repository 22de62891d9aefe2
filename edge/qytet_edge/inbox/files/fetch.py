"""One HTTP request with bounds of size and time; what has not changed is not sent again. Blocks: use a thread.

Redirections are not followed: a gateway asks whom it is told to ask, and nobody else.
"""

import contextlib
import http.client
import socket
import ssl
import threading
from types import TracebackType
from typing import NamedTuple, Self
from urllib.parse import urlsplit

__all__ = ["Answer", "Request", "fetch"]

AGENT = "qytet-edge"
_CHUNK = 65536


class Request(NamedTuple):
    """What to ask for; `etag` and `modified` as the last answer gave them. Never print `authorization`."""

    url: str
    timeout_s: float
    max_bytes: int
    tls: ssl.SSLContext | None = None
    authorization: str = ""
    etag: str = ""
    modified: str = ""


class Answer(NamedTuple):
    """What came back; `body` None: nothing new since then."""

    body: bytes | None
    etag: str = ""
    modified: str = ""


def fetch(request: Request) -> Answer:
    """Ask once. Raises OSError with words fit for a technician if there is no good answer in time."""
    parts = urlsplit(request.url)
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    connection = _connection(request)
    hurry = _Hurry(request.timeout_s)
    try:
        with hurry:
            connection.connect()
            hurry.sock = connection.sock
            if hurry.late:  # it found no socket to end
                raise TimeoutError
            connection.request("GET", target, headers=_headers(request))
            with connection.getresponse() as answer:
                found = _taken(answer, request)
    except (OSError, http.client.HTTPException) as error:
        if hurry.late or isinstance(error, TimeoutError):
            raise TimeoutError(_late(request)) from error
        if isinstance(error, http.client.HTTPException):
            raise OSError(f"the answer is not HTTP, or not whole: {type(error).__name__}") from error
        raise
    finally:
        connection.close()
    if hurry.late:  # what was cut short may look whole
        raise TimeoutError(_late(request))
    return found


def _late(request: Request) -> str:
    return f"no answer within {request.timeout_s:g} s"


class _Hurry:
    """Ends a connection that takes too long in all: a socket's timeout is for each of its reads alone."""

    def __init__(self, seconds: float) -> None:
        self.late = False
        self.sock: socket.socket | None = None
        self._timer = threading.Timer(seconds, self._end)
        self._timer.daemon = True

    def __enter__(self) -> Self:
        self._timer.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._timer.cancel()
        self._timer.join()

    def _end(self) -> None:
        self.late = True
        if self.sock is not None:
            with contextlib.suppress(OSError):
                socket.socket.shutdown(self.sock, socket.SHUT_RDWR)  # TLS's own waits for the other side


def _taken(answer: http.client.HTTPResponse, request: Request) -> Answer:
    if answer.status == http.client.NOT_MODIFIED:
        return Answer(None, request.etag, request.modified)
    if 300 <= answer.status < 400:
        where = urlsplit(answer.getheader("Location", "")).hostname or "elsewhere"
        raise OSError(
            f"the answer points to {where} (status {answer.status}); put the final address into `url`"
        )
    if answer.status != http.client.OK:
        raise OSError(f"the answer is {answer.status} {answer.reason}")
    body = _body(answer, request.max_bytes)
    return Answer(body, answer.getheader("ETag", ""), answer.getheader("Last-Modified", ""))


def _body(answer: http.client.HTTPResponse, most: int) -> bytes:
    found = bytearray()
    while chunk := answer.read1(_CHUNK):
        found += chunk
        if len(found) > most:
            raise OSError(f"the answer is longer than max_bytes ({most})")
    if answer.length:  # what was announced and did not come
        raise OSError(f"the answer ends {answer.length} bytes too early")
    return bytes(found)


def _connection(request: Request) -> http.client.HTTPConnection:
    parts = urlsplit(request.url)
    host = parts.hostname or ""
    if parts.scheme == "http":
        return http.client.HTTPConnection(host, parts.port, timeout=request.timeout_s)
    return http.client.HTTPSConnection(host, parts.port, timeout=request.timeout_s, context=request.tls)


def _headers(request: Request) -> dict[str, str]:
    headers = {"User-Agent": AGENT, "Accept-Encoding": "identity", "Connection": "close"}
    optional = {
        "Authorization": request.authorization,
        "If-None-Match": request.etag,
        "If-Modified-Since": request.modified,
    }
    return headers | {name: value for name, value in optional.items() if value}
