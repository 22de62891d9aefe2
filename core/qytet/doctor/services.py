"""Checks of our own services over HTTP: the API and an ingest worker."""

import json

from qytet.doctor.context import Context
from qytet.doctor.finding import Finding, ok, problem, warning
from qytet.doctor.http import Answer, ask

__all__ = ["api", "ingest"]

_EVERYWHERE = {"0.0.0.0", "::", ""}  # noqa: S104  to be asked on the loopback interface


def api(context: Context) -> list[Finding]:
    """The API runs and can answer questions."""
    settings = context.settings.api
    return [_judged(ask(f"{_base(settings.host, settings.port)}/v1/ready"), "qytet api serve")]


def ingest(context: Context) -> list[Finding]:
    """Ingest runs and has both its broker and its database."""
    settings = context.settings.ingest
    return [_judged(ask(f"{_base(settings.http_host, settings.http_port)}/ready"), "qytet ingest run")]


def _base(host: str, port: int) -> str:
    host = "127.0.0.1" if host in _EVERYWHERE else host
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _judged(answer: Answer, command: str) -> Finding:
    if answer.status == 200:
        return ok("ready")
    if answer.status == 0 and "refused" in answer.text:
        return warning("it does not run here", f"Start it: `{command}`.")
    if answer.status == 0:
        return problem(f"it does not answer: {answer.text}", f"Restart it: `{command}`.")
    return problem(
        f"it runs, but is not ready: {_reason(answer)}", "Mend what it lacks; it recovers by itself."
    )


def _reason(answer: Answer) -> str:
    """What a 503 says: the detail of problem+json, or which parts are false."""
    try:
        said = json.loads(answer.text)
    except ValueError:
        return f"status {answer.status}"
    if not isinstance(said, dict):
        return f"status {answer.status}"
    lacking = [str(name) for name, state in said.items() if state is False]
    return str(said.get("detail") or said.get("title") or ", ".join(f"no {name}" for name in lacking))
