"""What can go wrong with a running Grafana, in words: what happened, why, and what to do.

GrafanaError (a qytet.errors.ServerError)
├── UnreachableError   no connection, no TLS, no answer in time
├── NotGrafanaError    an answer, but none that Grafana gives (HTML, a redirect, broken JSON)
├── UnauthorizedError  401
├── ForbiddenError     403
├── MissingError       404
├── ConflictError      409, 412
├── RefusedError       400, 422 and other 4xx
└── FailingError       429 and 5xx, after the retries
"""

import re
from typing import ClassVar

from qytet.errors import ServerError

__all__ = [
    "ConflictError",
    "FailingError",
    "ForbiddenError",
    "GrafanaError",
    "MissingError",
    "NotGrafanaError",
    "RefusedError",
    "UnauthorizedError",
    "UnreachableError",
    "from_answer",
    "plain",
]

_LONGEST = 300  # characters of a server's words that are repeated


class GrafanaError(ServerError):
    """Grafana did not do what was asked of it.

    Attributes: `status`, the HTTP status (0 without an answer), and `reason`, Grafana's own code for it
    (`version-mismatch`, `name-exists`, `plugin-dashboard`, or empty). `stops`: nothing else will succeed either.
    """

    stops: ClassVar[bool] = False

    def __init__(self, what: str, *, why: str = "", do: str = "", status: int = 0, reason: str = "") -> None:
        super().__init__(what, why=why, do=do)
        self.status = status
        self.reason = reason


class UnreachableError(GrafanaError):
    """No connection, no TLS, or no answer in time."""

    stops = True


class NotGrafanaError(GrafanaError):
    """Something answered, but not as Grafana does."""

    stops = True


class UnauthorizedError(GrafanaError):
    """401: Grafana does not know the token."""

    stops = True


class ForbiddenError(GrafanaError):
    """403: Grafana knows the token, which may not do this."""


class MissingError(GrafanaError):
    """404: no such thing, or no such path."""


class ConflictError(GrafanaError):
    """409 or 412: somebody else was quicker, or a name is taken."""


class RefusedError(GrafanaError):
    """400, 422 and other 4xx: Grafana found fault with the request."""


class FailingError(GrafanaError):
    """429 or 5xx that the retries did not mend."""

    stops = True


_SERVICE_ACCOUNT = (
    "Make a token for a service account (Administration, Users and access, Service accounts) and put it into "
    "QYTET_GRAFANA__TOKEN or into the file that --token-file names."
)
_ROLE = (
    "Give the token's service account the role Admin. Editor is enough for dashboards and alert rules in folders "
    "that exist; folders, teams, permissions and data sources need Admin."
)
_PATH = "Check the URL: if Grafana is served below a path (https://city.example/grafana), the URL ends with that path."
_RULES: dict[int, tuple[type[GrafanaError], str, str]] = {
    400: (
        RefusedError,
        "Grafana found fault with the request.",
        "Correct what it names, then run this again.",
    ),
    401: (UnauthorizedError, "The token is unknown, expired, or of another Grafana.", _SERVICE_ACCOUNT),
    403: (ForbiddenError, "The token's role may not do this.", _ROLE),
    404: (MissingError, "It does not exist, or the URL lacks the path that Grafana is served below.", _PATH),
    409: (
        ConflictError,
        "Something with this name or uid exists, or is managed otherwise.",
        "Look at it in Grafana.",
    ),
    412: (
        ConflictError,
        "Somebody else changed it in this very moment.",
        "Run `qytet dashboards pull-check` to see what, then push again.",
    ),
    422: (
        RefusedError,
        "Grafana found fault with the request.",
        "Correct what it names, then run this again.",
    ),
    429: (FailingError, "Grafana asks for fewer requests.", "Wait a minute, then run this again."),
}
_REASONS = {
    "name-exists": "A dashboard with this title or uid is there already.",
    "version-mismatch": "Somebody saved this dashboard in this very moment.",
    "plugin-dashboard": "The dashboard belongs to a plugin.",
}


def from_answer(status: int, doing: str, body: object, server: str) -> GrafanaError:
    """The error for an answer of 400 or more; `doing` completes "could not …", `body` is JSON or text."""
    reason = str(body.get("status", "")) if isinstance(body, dict) else ""
    kind, why, do = _RULES.get(status) or _RULES[400]
    if status >= 500:
        kind, why = FailingError, "Grafana, or the proxy before it, has a fault of its own."
        do = "Look at Grafana's log and its disk and database, then run this again: what is done is not repeated."
    why = _REASONS.get(reason, why)
    said = _words(body)
    return kind(
        f"Grafana at {server} could not {doing} (HTTP {status}).",
        why=f"{why} It says: {said}" if said else why,
        do=do,
        status=status,
        reason=reason,
    )


def _words(body: object) -> str:
    """What the server said, short, on one line, without markup or control characters."""
    said = body.get("message") or body.get("error") or "" if isinstance(body, dict) else body
    if not isinstance(said, str):
        return ""
    if "<html" in said[:1000].lower():
        return "(an HTML page)"
    return plain(said)[:_LONGEST].strip()


def plain(text: str) -> str:
    """Text of somebody else's on one line, safe to show on a terminal."""
    return re.sub(r" +", " ", "".join(letter if letter.isprintable() else " " for letter in text))
