"""One connection to Grafana through grafana-client: deadlines, bounded retries, and errors in words.

Retried are 429, 502 and 503, after the pause that the server asks for (Retry-After), at most four tries and thirty
seconds a call. A call that got no answer is not retried: it may have been done, and running the command again tells.
"""

import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from types import UnionType
from typing import Any

from qytet_dashboards.grafana.errors import (
    MissingError,
    NotGrafanaError,
    UnreachableError,
    from_answer,
    plain,
)
from qytet_dashboards.grafana.where import Where

__all__ = ["UID", "Server", "connect"]

UID = re.compile(r"[A-Za-z0-9_-]{1,40}")  # what Grafana takes as a uid: safe in a path, too

_TIMEOUT_S = 20.0  # a dashboard of half a megabyte on a busy Raspberry Pi takes some seconds
_TRIES = 4
_PATIENCE_S = 30.0  # of pauses, for one call
_SHOWN = 200  # characters of what a library says, from the end, where the cause is
_RETRIED = frozenset({429, 502, 503})


class Server:
    """A Grafana that answers. Made by `connect`; not for use in several threads."""

    def __init__(self, api: Any, where: Where, pause: Callable[[float], object]) -> None:
        self.api = api
        self.where = where
        self._pause = pause
        self._retry_after = ""

    def call(
        self,
        doing: str,
        function: Callable[..., Any],
        *arguments: object,
        kind: type | UnionType = dict,
        **named: object,
    ) -> Any:
        """Grafana's answer, of the given kind. `doing` completes "could not …". Raises GrafanaError."""
        waited = 0.0
        for left in range(_TRIES - 1, -1, -1):
            answer = self._once(doing, function, arguments, named)
            if not isinstance(answer, _Status):
                return self._checked(doing, answer, kind)
            pause = _pause_of(self._retry_after, _TRIES - left)
            waited += pause
            if answer.status not in _RETRIED or not left or waited > _PATIENCE_S:
                raise from_answer(answer.status, doing, self._masked(answer.body), self.where.shown)
            self._pause(pause)
        raise AssertionError  # the loop returns or raises

    def find(
        self, doing: str, function: Callable[..., Any], *arguments: object, kind: type | UnionType = dict
    ) -> Any:
        """As `call`, or None where Grafana says that there is no such thing."""
        try:
            return self.call(doing, function, *arguments, kind=kind)
        except MissingError:
            return None

    def get(self, doing: str, path: str, kind: type | UnionType = dict, **params: object) -> Any:
        """A GET that grafana-client has no function for, or one that puts its parameters into the body."""
        return self.call(doing, self.api.client.GET, path, kind=kind, params=params)

    def _once(
        self,
        doing: str,
        function: Callable[..., Any],
        arguments: tuple[object, ...],
        named: dict[str, object],
    ) -> Any:
        """The answer, or its status from 400 on."""
        from grafana_client.client import GrafanaException, GrafanaTimeoutError
        from niquests import exceptions as http

        self._retry_after = ""
        try:
            return function(*arguments, **named)
        except GrafanaTimeoutError as error:
            raise self._unreachable(doing, error) from None
        except GrafanaException as error:
            if not error.status_code:
                raise self._unreachable(doing, error) from None
            return _Status(error.status_code, error.response)
        except http.JSONDecodeError:
            raise self._strange(doing, "Its answer says that it is JSON, and is not.") from None
        except http.RequestException as error:
            raise self._unreachable(doing, error) from None

    def _checked(self, doing: str, answer: object, kind: type | UnionType) -> object:
        if isinstance(answer, kind):
            return answer
        why = (
            "It answered with a page for people" if isinstance(answer, str) else "It answered with other JSON"
        )
        raise self._strange(doing, f"{why}, not with what Grafana's API gives.")

    def _strange(self, doing: str, why: str) -> NotGrafanaError:
        return NotGrafanaError(
            f"What answers at {self.where.shown} could not {doing} as Grafana would.",
            why=why,
            do="Check the URL, its path, and what stands before Grafana (a proxy with a login page?).",
        )

    def _unreachable(self, doing: str, error: Exception) -> UnreachableError:
        why, do = _no_answer(error, plain(str(self._masked(str(error)))))
        return UnreachableError(
            f"No answer from Grafana at {self.where.shown}, asked to {doing}.",
            why=why,
            do=f"{do} Then run this again: what is done is not repeated.",
        )

    def _masked(self, body: object) -> object:
        """An answer without our token, should a server repeat it."""
        if isinstance(body, dict):
            return {key: self._masked(value) for key, value in body.items()}
        return body.replace(self.where.token, "***") if isinstance(body, str) else body

    def watch(self, response: Any, **_: object) -> None:
        """A hook for each response: notes Retry-After; follows no redirect, as a POST would become a GET."""
        self._retry_after = response.headers.get("Retry-After", "")
        if response.is_redirect:
            response.close()  # nobody else will, once this raises
            target = plain(str(self._masked(response.headers.get("Location", ""))))[:200]
            raise NotGrafanaError(
                f"What answers at {self.where.shown} sends us elsewhere.",
                why=f"It answered HTTP {response.status_code} with {target}.",
                do="Give the URL that Grafana itself is served at, its path included.",
                status=response.status_code,
            )


class _Status:
    """An answer of 400 or more."""

    def __init__(self, status: int, body: object) -> None:
        self.status = status
        self.body = body


@contextmanager
def connect(
    where: Where, *, timeout_s: float = _TIMEOUT_S, pause: Callable[[float], object] = time.sleep
) -> Iterator[Server]:
    """A connection for as long as the context lasts. Nothing is asked yet."""
    from grafana_client.api import GrafanaApi

    api: Any = GrafanaApi(
        where.token,
        host=where.host,
        port=where.port,
        url_path_prefix=where.path,
        protocol=where.scheme,
        verify=str(where.ca_file) if where.ca_file else True,  # niquests takes a path, too
        timeout=timeout_s,
        user_agent="qytet-dashboards",
        organization_id=where.organization,
    )
    session = api.client.s
    session.trust_env = (
        where.scheme == "https"
    )  # a proxy of the environment would see a token sent by plain http
    server = Server(api, where, pause)
    session.hooks["response"] = [server.watch]
    try:
        yield server
    finally:
        session.close()


def _pause_of(retry_after: str, tried: int) -> float:
    """Seconds until the next try: what the server asks for (seconds or a date), else 0.5, 1, 2."""
    if retry_after.strip().isdecimal():
        return float(retry_after)
    try:
        return max(0.0, (parsedate_to_datetime(retry_after) - datetime.now(UTC)).total_seconds())
    except (TypeError, ValueError):
        return 0.5 * 2.0 ** (tried - 1)


def _no_answer(error: Exception, said: str) -> tuple[str, str]:
    """Why there was no answer, and what to do; `said` is the library's account of it."""
    from grafana_client.client import GrafanaTimeoutError
    from niquests import exceptions as http

    lower = said.lower()
    if isinstance(error, http.SSLError) or "certificate" in lower or "ssl" in lower:
        reason = re.search(r"certificate verify failed: ([^()']+)", said)
        return (
            f"The TLS connection failed: {reason[1].strip() if reason else said[-_SHOWN:]}.",
            "Name the CA that signed Grafana's certificate in QYTET_GRAFANA__CA_FILE; do not switch TLS off.",
        )
    if isinstance(error, GrafanaTimeoutError | http.Timeout):
        return "It took too long.", "See whether Grafana or its database is overloaded."
    if "refused" in lower:
        return "Nothing listens there.", "Start Grafana, or correct the URL and its port."
    if "resolve" in lower or "name or service" in lower:
        return "Its name is unknown.", "Correct the URL, or the network's name service."
    return f"The connection failed: {said[-_SHOWN:]}", "Check the network and any proxy."
