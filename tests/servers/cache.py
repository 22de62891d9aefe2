"""Where downloaded and unpacked servers are kept between runs, and who may fill it at a time."""

import contextlib
import fcntl
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path


class UnavailableError(Exception):
    """A server cannot be had on this machine; the message says why."""


def cache_folder() -> Path:
    """Return the cache: $QYTET_TEST_CACHE, else `qytet-tests` in the user's cache folder."""
    chosen = os.environ.get("QYTET_TEST_CACHE")
    if chosen:
        return Path(chosen)
    home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return home / "qytet-tests"


def cached(name: str, build: Callable[[Path], None], report: Callable[[str], None]) -> Path:
    """Return the cached folder `name`, calling `build(empty folder)` first if it is not there.

    A lock lets one process build while others wait; a folder appears under its name only when it is whole.
    """
    folder = cache_folder() / name
    with _locked(name):
        if folder.exists():
            report(f"{name}: in the cache, {folder}")
            return folder
        partial = folder.with_name(name + ".partial")
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(parents=True)
        report(f"{name}: preparing in {folder}")
        build(partial)
        partial.replace(folder)
    return folder


@contextlib.contextmanager
def _locked(name: str) -> Iterator[None]:
    cache_folder().mkdir(parents=True, exist_ok=True)
    with (cache_folder() / f"{name}.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def quiet(_message: str) -> None:
    """Report nothing."""
