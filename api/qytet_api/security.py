"""Who may see what: the roles public and operator, and the headers that every answer bears."""

import hmac
import ipaddress
from enum import StrEnum
from typing import Annotated

from fastapi import Depends, Request
from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from qytet.errors import SettingsError
from qytet.settings import ApiSettings
from qytet_api.problems import ProblemError

__all__ = ["Caller", "Role", "SecurityHeaders", "is_loopback", "refuse_open_door"]

_LOCAL_NAMES = frozenset({"localhost", "127.0.0.1", "::1"})
_FORWARDED = ("forwarded", "x-forwarded-for", "x-forwarded-host", "x-real-ip")

# The page loads its own files only.
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "font-src 'self'; manifest-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_HEADERS = {
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "permissions-policy": "camera=(), geolocation=(), microphone=()",
    "cross-origin-opener-policy": "same-origin",
    "content-security-policy": _POLICY,
}


class Role(StrEnum):
    """What a caller may do."""

    PUBLIC = "public"
    OPERATOR = "operator"


class _Caller:
    """The caller of one request; services ask it before they answer."""

    def __init__(self, role: Role, refusal: ProblemError | None = None) -> None:
        self.role = role
        self._refusal = refusal

    def require_operator(self) -> None:
        """Raises ProblemError 401 or 403 unless the caller is an operator."""
        if self.role is not Role.OPERATOR:
            raise self._refusal or _unauthorised("This needs the operator's token.")


def _caller(request: Request) -> _Caller:
    settings: ApiSettings = request.app.state.settings.api
    token = settings.operator_token.get_secret_value()
    if not token:
        return _developer(request, settings)
    scheme, _, given = request.headers.get("authorization", "").partition(" ")
    if not given:
        return _Caller(Role.PUBLIC)
    if scheme.lower() == "bearer" and hmac.compare_digest(given.strip().encode(), token.encode()):
        return _Caller(Role.OPERATOR)
    return _Caller(Role.PUBLIC, _unauthorised("The operator's token is wrong."))


def _developer(request: Request, settings: ApiSettings) -> _Caller:
    """Without a token everyone at this machine is an operator, but no web page and nobody behind a proxy.

    The Host header tells a page that had its own name resolve to 127.0.0.1 (DNS rebinding).
    """
    local = is_loopback(settings.host) and (request.url.hostname or "") in _LOCAL_NAMES
    if local and not any(name in request.headers for name in _FORWARDED):
        return _Caller(Role.OPERATOR)
    detail = "Operators need a token from anywhere but this machine. Set `api.operator_token` and send it."
    return _Caller(Role.PUBLIC, ProblemError(403, detail))


Caller = Annotated[_Caller, Depends(_caller)]


def is_loopback(host: str) -> bool:
    """Whether a listener on `host` can be reached from this machine only."""
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost"


def refuse_open_door(host: str, settings: ApiSettings) -> None:
    """Raises SettingsError for an address that others reach while there is no operator's token."""
    if not is_loopback(host) and not settings.operator_token.get_secret_value():
        raise SettingsError(
            f"The API will not listen on {host} without an operator's token.",
            why="Other machines can reach that address, and without a token every caller is an operator.",
            do="Set QYTET_API__OPERATOR_TOKEN to a long random text, or listen on 127.0.0.1.",
        )


def _unauthorised(detail: str) -> ProblemError:
    return ProblemError(401, detail, headers={"WWW-Authenticate": 'Bearer realm="qytet"'})


class SecurityHeaders:
    """Adds the headers to every answer, errors included."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on; add what the answer does not set itself."""

        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        await self._app(scope, receive, guarded)
