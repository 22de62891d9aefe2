"""Asks the platform's HTTP API, `/v1/…`, and says in words what stands in the way of an answer.

ApiError
├── DownError       nobody answers, or not in time, or with an error of the server
├── RefusedError    the key is not accepted (401, 403)
└── MissingError    what was asked for does not exist (404)
"""

import http.client
import ipaddress
import json
import ssl
import urllib.error
import urllib.request
from typing import Any
from urllib.parse import quote, urlencode, urljoin, urlsplit

from qytet.errors import InputError, QytetError

__all__ = ["Api", "ApiError", "DownError", "MissingError", "RefusedError"]

_LIMIT_S = 15.0
_MOST_BYTES = 16 << 20
_MOST_PAGES = 50


class ApiError(QytetError):
    """The API gives no answer that can be used."""


class DownError(ApiError):
    """Nobody answers, or with an error of the server."""


class RefusedError(ApiError):
    """The key is not accepted."""


class MissingError(ApiError):
    """What was asked for does not exist."""


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    """A key must not follow to where somebody else points."""

    def redirect_request(self, *_: Any, **__: Any) -> None:
        """None: the redirect is an answer like others."""


class Api:
    """`url` as of bench.toml, such as https://qytet.tirana.example; `key` is the operator's token, or empty."""

    def __init__(self, url: str, key: str = "") -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname or "@" in parts.netloc:
            raise InputError(
                f"{url!r} is no address of an API.",
                do="Such as https://qytet.tirana.example, without a user.",
            )
        if key and parts.scheme == "http" and not _is_here(parts.hostname):
            raise InputError(
                f"The API key would go to {parts.hostname} unencrypted.",
                why="Everybody on the way could read it.",
                do="Use https://, or leave the key out: then refused messages are not looked at.",
            )
        self.url = url.rstrip("/")
        self._key = key
        self._open = urllib.request.build_opener(
            _NoRedirects, urllib.request.HTTPSHandler(context=ssl.create_default_context())
        ).open

    @property
    def has_key(self) -> bool:
        """Whether it asks as an operator."""
        return bool(self._key)

    def get(self, path: str, **parameters: object) -> dict[str, Any]:
        """The JSON object at `/v1/` + path; None among the parameters is left out. Raises ApiError."""
        query = urlencode({name: value for name, value in parameters.items() if value is not None})
        return self._ask(f"{self.url}/v1/{quote(path)}" + (f"?{query}" if query else ""))

    def items(self, path: str, **parameters: object) -> list[dict[str, Any]]:
        """All rows of a list, page after page. Raises ApiError."""
        page = self.get(path, **parameters)
        found = list(page.get("items", []))
        for _ in range(_MOST_PAGES):
            if not page.get("next"):
                break
            page = self._ask(_within(self.url, str(page["next"])))
            found += page.get("items", [])
        return found

    def _ask(self, address: str) -> dict[str, Any]:
        request = urllib.request.Request(address, headers={"Accept": "application/json"})  # noqa: S310 checked
        if self._key:
            request.add_header("Authorization", f"Bearer {self._key}")
        try:
            with self._open(request, timeout=_LIMIT_S) as answer:
                content = answer.read(_MOST_BYTES)
            found = json.loads(content)
        except urllib.error.HTTPError as error:
            with error:
                raise _said_no(error, self.url) from error
        except (OSError, http.client.HTTPException) as error:
            raise DownError(
                f"The API at {self.url} does not answer.",
                why=str(getattr(error, "reason", "") or error) or type(error).__name__,
                do="Check `api` in bench.toml and the network; at the server: `qytet doctor`.",
            ) from error
        except ValueError as error:
            raise _no_api(self.url) from error
        if not isinstance(found, dict):
            raise _no_api(self.url)
        return found


def _said_no(error: urllib.error.HTTPError, url: str) -> ApiError:
    detail = _detail(error)
    if error.code in (401, 403):
        return RefusedError(
            "The API key is not accepted.",
            why=detail,
            do="Set QYTET_API__OPERATOR_TOKEN to the operator's token, or unset it to go without.",
        )
    if error.code == 404:
        return MissingError(detail or "There is no such thing.")
    return DownError(
        f"The API at {url} answers with an error ({error.code}).",
        why=detail,
        do="Look at the server: `qytet doctor`.",
    )


def _detail(error: urllib.error.HTTPError) -> str:
    """The words of a problem document, if it is one."""
    try:
        return str(json.loads(error.read(65536)).get("detail", ""))
    except (ValueError, OSError, AttributeError):
        return ""


def _no_api(url: str) -> DownError:
    return DownError(
        f"What answers at {url} is not the platform's API.",
        why="Its answer is no JSON object.",
        do="Check `api` in bench.toml: the address without /v1.",
    )


def _within(url: str, following: str) -> str:
    """The next page's address, at the same server: a proxy in front may call it otherwise."""
    parts = urlsplit(following)
    return urljoin(url + "/", parts.path.lstrip("/")) + (f"?{parts.query}" if parts.query else "")


def _is_here(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
