"""What Prometheus is told: requests by route and status, how long they took, and how busy the pool is."""

import time
from collections.abc import Mapping

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from starlette.types import ASGIApp, Message, Receive, Scope, Send

__all__ = ["CountRequests", "Metrics"]

_POOL = ("pool_size", "pool_available", "requests_waiting", "requests_errors", "connections_errors")


class Metrics:
    """The metrics of one application."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self.requests = Counter(
            "qytet_api_requests", "Requests answered", ["method", "route", "status"], registry=self._registry
        )
        self.seconds = Histogram(
            "qytet_api_request_seconds",
            "Seconds until the answer began",
            ["route"],
            buckets=(0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 15),
            registry=self._registry,
        )
        self.live_clients = Gauge("qytet_api_live_clients", "Clients of /v1/live", registry=self._registry)
        self._pool = Gauge(
            "qytet_api_pool", "The connection pool's counters", ["what"], registry=self._registry
        )

    def render(self, pool: Mapping[str, int]) -> tuple[bytes, str]:
        """All metrics as text, and its media type."""
        for name in _POOL:
            self._pool.labels(name).set(pool.get(name, 0))
        return generate_latest(self._registry), CONTENT_TYPE_LATEST


class CountRequests:
    """Counts every request by its route's pattern, so that made-up addresses make no new series."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self._app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on and note when its answer began."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        begun = time.perf_counter()

        async def noted(message: Message) -> None:
            if message["type"] == "http.response.start":
                route = getattr(scope.get("route"), "path", "(none)")
                self._metrics.requests.labels(_method(scope), route, message["status"]).inc()
                self._metrics.seconds.labels(route).observe(time.perf_counter() - begun)
            await send(message)

        await self._app(scope, receive, noted)


def _method(scope: Scope) -> str:
    """The method, or `other`: callers may invent methods."""
    return scope["method"] if scope["method"] in {"GET", "HEAD", "POST", "OPTIONS"} else "other"
