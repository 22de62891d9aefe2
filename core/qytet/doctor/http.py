"""One question over HTTP to a service of ours; never raises, never follows a proxy."""

import http.client
import urllib.error
import urllib.request
from dataclasses import dataclass

__all__ = ["Answer", "ask"]

_LIMIT = 100_000  # bytes that are read of an answer


@dataclass(frozen=True, slots=True)
class Answer:
    """Status 0 means that nobody answered; `text` then says why."""

    status: int
    text: str


def ask(url: str, timeout: float = 3.0) -> Answer:
    """GET a URL (http only)."""
    if not url.startswith("http://"):
        return Answer(0, "not an http:// address")
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(url, timeout=timeout) as answer:
            return Answer(answer.status, answer.read(_LIMIT).decode("utf-8", "replace"))
    except urllib.error.HTTPError as error:
        with error:
            return Answer(error.code, error.read(_LIMIT).decode("utf-8", "replace"))
    except (OSError, ValueError) as error:
        return Answer(0, str(error))
    except http.client.HTTPException:
        return Answer(0, "what listens there speaks no HTTP, so it is another program")
