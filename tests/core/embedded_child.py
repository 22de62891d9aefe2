"""Run by tests in a process of its own: start an embedded server, say its pid, and wait to be killed."""

import sys
import time
from pathlib import Path

from qytet.embedded import AlreadyRunningError, EmbeddedNats, EmbeddedPostgres

SERVERS = {"postgres": EmbeddedPostgres, "nats": EmbeddedNats}


def main() -> None:
    """Arguments: which server, its folder."""
    server = SERVERS[sys.argv[1]](Path(sys.argv[2]))
    try:
        with server:
            print(server.pid, flush=True)
            time.sleep(600)
    except AlreadyRunningError as error:
        print(f"held by {error.pid}", flush=True)


if __name__ == "__main__":
    main()
