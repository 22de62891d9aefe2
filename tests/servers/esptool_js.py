"""esptool-js for the flashing page: no server, but fetched before the tests as they are."""

from collections.abc import Callable
from pathlib import Path

from qytet.errors import QytetError
from qytet_api.flash.fetch import VENDOR, fetch
from tests.servers.cache import UnavailableError, quiet


def prepare(report: Callable[[str], None] = quiet) -> Path:
    """Return the folder with esptool-js, fetching it by npm if it is not there."""
    try:
        fetch()
    except QytetError as error:
        raise UnavailableError(str(error)) from error
    report(f"esptool-js: {VENDOR}")
    return VENDOR
