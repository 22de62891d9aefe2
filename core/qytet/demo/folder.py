"""The demo's files below the data folder: what is kept, what belongs to the latest run, and who runs it now."""

import contextlib
import json
import os
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

# Processes and locks of the embedded servers; the demo starts its own children by the same means.
from qytet.embedded._lock import FolderLock
from qytet.embedded._process import end_orphan
from qytet.embedded.ports import LOOPBACK
from qytet.errors import ServerError

__all__ = ["DemoFolder", "claimed"]

_ORPHAN_S = 10.0  # s that a child of a killed demo gets to end in order
_OF_ONE_RUN = ("oracle.jsonl", "stats.jsonl", "services.toml", "devices.toml")


@dataclass(frozen=True, slots=True)
class DemoFolder:
    """Paths below `root`, the data folder; `own` holds what concerns one run."""

    root: Path

    @property
    def postgres(self) -> Path:
        """The embedded database's folder, kept between runs."""
        return self.root / "postgres"

    @property
    def nats(self) -> Path:
        """The embedded broker's folder, kept between runs."""
        return self.root / "nats"

    @property
    def log(self) -> Path:
        """The children's logs."""
        return self.root / "log"

    @property
    def own(self) -> Path:
        """What concerns the latest run: lock, state, oracle, figures, settings of the children."""
        return self.root / "demo"

    @property
    def oracle(self) -> Path:
        """All that the simulated devices accepted in the latest run."""
        return self.own / "oracle.jsonl"

    @property
    def stats(self) -> Path:
        """What the simulators say of themselves every second."""
        return self.own / "stats.jsonl"

    @property
    def summary(self) -> Path:
        """The account of the latest run."""
        return self.root / "demo-summary.json"

    def note(self, url: str, children: dict[str, int]) -> None:
        """Remember where this run is reached and its children (name to pid), for whoever finds them later."""
        state = {
            "url": url,
            "children": [{"name": name, "pid": pid, "began": _began(pid)} for name, pid in children.items()],
        }
        partial = self.own / "state.json.partial"
        partial.write_text(json.dumps(state), encoding="utf-8")
        partial.replace(self.own / "state.json")

    def state(self) -> dict[str, Any]:
        """What the run that holds or held the folder noted; empty if there is nothing readable."""
        with contextlib.suppress(OSError, ValueError):
            found = json.loads((self.own / "state.json").read_text(encoding="utf-8"))
            if isinstance(found, dict):
                return found
        return {}

    def forget(self) -> None:
        """Delete what belongs to one run."""
        for name in (*_OF_ONE_RUN, "state.json"):
            (self.own / name).unlink(missing_ok=True)


@contextlib.contextmanager
def claimed(root: Path) -> Iterator[DemoFolder]:
    """The demo's folder, held by this process alone; children of a demo that was killed are ended first.

    Raises ServerError if another demo holds it or it cannot be written.
    """
    folder = DemoFolder(root.absolute())
    try:
        for needed in (folder.root, folder.own, folder.log):
            needed.mkdir(parents=True, exist_ok=True)
        folder.own.chmod(0o700)  # it holds passwords
        folder.log.chmod(0o700)
        lock = FolderLock(folder.own)
        with _explained(folder):
            lock.acquire()
    except OSError as error:
        raise ServerError(
            f"The data folder {folder.root} cannot be used.",
            why=str(error),
            do="Mend its permissions, or choose another one by QYTET_DATA_DIR.",
        ) from error
    try:
        _end_orphans(folder)
        yield folder
    finally:
        (folder.own / "state.json").unlink(missing_ok=True)
        lock.release()


@contextlib.contextmanager
def _explained(folder: DemoFolder) -> Iterator[None]:
    from qytet.embedded import AlreadyRunningError

    try:
        yield
    except AlreadyRunningError as error:
        holder = f"process {error.pid}" if error.pid else "another process"
        url = folder.state().get("url")
        raise ServerError(
            "The demo is running here already.",
            why=f"The data folder {folder.root} is held by {holder}.",
            do=(f"Look at {url}, or stop it" if url else "Stop it")
            + " with Ctrl-C in its terminal; a second one beside it needs a folder of its own"
            + " (QYTET_DATA_DIR=.qytet/second).",
        ) from error


def _end_orphans(folder: DemoFolder) -> None:
    """End children of a demo that was killed (where the kernel has not done it); we hold the lock."""
    for child in folder.state().get("children", []):
        with contextlib.suppress(KeyError, TypeError):
            # A pid may have gone to another program since; together with its birth it is unique.
            if child["began"] is not None and child["began"] == _began(child["pid"]):
                end_orphan(child["pid"], signal.SIGTERM, _ORPHAN_S)
    (folder.own / "state.json").unlink(missing_ok=True)


def _began(pid: int) -> float | None:
    with contextlib.suppress(psutil.Error):
        process = psutil.Process(pid)
        if process.pid != os.getpid() and process.status() != psutil.STATUS_ZOMBIE:
            return process.create_time()
    return None


def page_url(port: int) -> str:
    """Where the first page is."""
    return f"http://{LOOPBACK}:{port}/"
