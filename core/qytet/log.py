"""Structured logs: one event a line, console on a terminal and JSON elsewhere; secrets never appear."""

import logging
import re
import sys
from collections.abc import MutableMapping
from typing import Any

import structlog

from qytet.settings import LogSettings

__all__ = ["configure", "get"]

_SECRET_WORDS = ("password", "secret", "token", "credential")
_URL_PASSWORD = re.compile(r"(://[^:/@\s]*:)[^/@\s]+@")


def get(name: str) -> Any:
    """A logger whose events carry the component's `name`; safe to ask for before `configure`."""
    return structlog.get_logger(
        component=name
    )  # not .bind(): that would fix the form before it is configured


def configure(settings: LogSettings) -> None:
    """Set the level and the form of every log line of this process, on standard error."""
    console = settings.format == "console" or (settings.format == "auto" and sys.stderr.isatty())
    renderer: Any = (
        structlog.dev.ConsoleRenderer() if console else structlog.processors.JSONRenderer(ensure_ascii=False)
    )
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            _without_secrets,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(
            logging.getLevelNamesMapping()[settings.level.upper()]
        ),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )


def _without_secrets(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Blank whatever is named like a secret, and the password of any URL, should anyone ever log it."""
    for key, value in event.items():
        if any(word in key.lower() for word in _SECRET_WORDS):
            event[key] = "***"
        elif isinstance(value, str) and "://" in value:
            event[key] = _URL_PASSWORD.sub(r"\1***@", value)
    return event
