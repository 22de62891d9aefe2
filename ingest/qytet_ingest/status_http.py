"""Metrics, health and readiness of a worker over HTTP, from a thread of its own."""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

from qytet.errors import ServerError

__all__ = ["serve"]


@contextmanager
def serve(
    host: str, port: int, collectors: CollectorRegistry, ready: Callable[[], dict[str, bool]]
) -> Iterator[int]:
    """Serve `/metrics`, `/health` and `/ready` while the block runs; yields the port. Raises ServerError."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if self.path == "/metrics":
                self._answer(200, generate_latest(collectors), CONTENT_TYPE_LATEST)
            elif self.path in ("/health", "/ready"):
                state = ready() if self.path == "/ready" else {"alive": True}
                self._answer(
                    200 if all(state.values()) else 503, json.dumps(state).encode(), "application/json"
                )
            else:
                self._answer(404, b"not found: /metrics, /health and /ready are\n", "text/plain")

        def _answer(self, status: int, body: bytes, kind: str) -> None:
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_args: object) -> None:
            """Say nothing: a probe every few seconds is no news."""

    try:
        server = ThreadingHTTPServer((host, port), Handler)
    except OSError as error:
        raise ServerError(
            f"Port {port} on {host} is taken.",
            why=str(error),
            do="Another worker may be running; else set [ingest] http_port to a free one.",
        ) from error
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, name="ingest-status", daemon=True)
    thread.start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
