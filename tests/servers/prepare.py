"""Downloads and unpacks every test server ahead of the tests: `python -m tests.servers.prepare`."""

import os
import sys
import time
from collections.abc import Callable

from tests.servers import esptool_js, micropython, mosquitto, pglite_server, timescale
from tests.servers.cache import UnavailableError

_SERVERS: dict[str, Callable[[Callable[[str], None]], object]] = {
    "Mosquitto": mosquitto.prepare,
    "TimescaleDB": timescale.prepare,
    "PGlite": pglite_server.prepare,
    "MicroPython": micropython.prepare,
    "esptool-js": esptool_js.prepare,
}


def main() -> int:
    """Prepare all; print what is done. Exit 1 if one cannot be had, in CI only (elsewhere its tests skip)."""
    missing = 0
    for name, prepare in _SERVERS.items():
        began = time.monotonic()
        try:
            prepare(_say)
        except UnavailableError as error:
            missing += 1
            _say(f"{name}: cannot be had here: {error}")
        else:
            _say(f"{name}: ready ({time.monotonic() - began:.1f} s)")
    return 1 if missing and os.environ.get("CI") else 0


def _say(line: str) -> None:
    print(line, flush=True)


if __name__ == "__main__":
    sys.exit(main())
