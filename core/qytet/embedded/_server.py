"""The life of an embedded server: lock the folder, start, stop, kill, remove; always leave the folder whole."""

import shutil
import signal
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import ClassVar, Self

from qytet.embedded._errors import EmbeddedError
from qytet.embedded._folder import prepare_folder
from qytet.embedded._lock import FolderLock
from qytet.embedded._process import Child, Progress
from qytet.embedded.ports import choose_port, is_free


class EmbeddedServer:
    """A server on a data folder of ours; a context manager, or `start()` and `stop()`.

    `start()` and `stop()` block; call them from any thread. A subclass says how to launch it.
    """

    name: ClassVar[str]
    folder_mode: ClassVar[int]
    our_names: ClassVar[frozenset[str]]  # all that may lie in the data folder
    stop_signals: ClassVar[Sequence[tuple[signal.Signals, float]]]  # with the seconds to wait after each

    def __init__(self, data_dir: Path, port: int | None, deadline: float, progress: Progress | None) -> None:
        self.data_dir = data_dir.absolute()
        self._wanted_port = port
        self._deadline = deadline
        self._progress = progress
        self._lock = FolderLock(self.data_dir)
        self._child: Child | None = None
        self._port: int | None = None

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def start(self) -> Self:
        """Start the server and wait until it answers; after a stop or a crash on the same port, if it is free.

        Raises AlreadyRunningError, PortTakenError, DataFolderError, MissingServerError or StartError.
        """
        if self.returncode is not None:  # it died behind our back
            self.kill()
        prepare_folder(self.data_dir, self.our_names, self.folder_mode)
        self._lock.acquire()
        try:
            self._launch()
        except BaseException:
            self.stop()
            raise
        return self

    def stop(self) -> None:
        """Stop the server in order, by force where it does not obey; idempotent. What it accepted is safe."""
        child, self._child = self._child, None
        try:
            if child is not None:
                child.stop(self.stop_signals)
        finally:
            self._release()

    def kill(self) -> None:
        """SIGKILL the server as a crash would; the next start recovers."""
        child, self._child = self._child, None
        try:
            if child is not None:
                child.kill()
        finally:
            self._release()

    def remove(self) -> None:
        """Stop the server and delete its data folder, wherever its parts lie."""
        self.stop()
        if not self.data_dir.exists():
            return
        prepare_folder(self.data_dir, self.our_names, self.folder_mode)
        self._lock.acquire()
        try:
            self._remove_elsewhere()
            shutil.rmtree(self.data_dir)
        finally:
            self._release()

    @property
    def port(self) -> int:
        """The port that the server listens on, or listened on last."""
        if self._port is None:
            raise EmbeddedError(f"{self.name} has not been started.", do="Call start() first.")
        return self._port

    @property
    def pid(self) -> int | None:
        """The server's process id, or None while it is stopped."""
        return self._child.pid if self._child else None

    @property
    def returncode(self) -> int | None:
        """How the server ended by itself; None while it runs and while it is stopped."""
        return self._child.returncode if self._child else None

    def _choose_port(self) -> int:
        wanted = self._wanted_port
        if self._port is not None and self._becomes_free(self._port):
            wanted = self._port
        self._port = choose_port(self.name, wanted, self.data_dir / "port")
        return self._port

    @staticmethod
    def _becomes_free(port: int) -> bool:
        """Wait a moment for a port that our killed server had: clients know it."""
        for _ in range(50):
            if is_free(port):
                return True
            time.sleep(0.1)
        return False

    def _launch(self) -> None:
        """Start the child and wait until it is ready; the folder is locked."""
        raise NotImplementedError

    def _remove_elsewhere(self) -> None:
        """Delete what lies outside the data folder; the folder is locked."""

    def _release(self) -> None:
        self._lock.release()
