"""The platform's own programs as children of the demo: started, awaited, watched, stopped by a deadline."""

import contextlib
import http.client
import os
import shutil
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from qytet.demo.folder import DemoFolder
from qytet.demo.wishes import Wishes
from qytet.embedded import StartError
from qytet.embedded._process import LOG_LIMIT, Child, spawn, tail
from qytet.embedded.ports import LOOPBACK
from qytet.errors import ServerError

__all__ = ["Part", "Parts"]

_READY_S = 60.0  # s for a program to answer; imports alone take seconds on a small board
_PAUSES = (0.02, 0.3)  # s, first and longest, between two questions whether it is ready
_LAST_LINES = 12


class Part:
    """One running program of the platform."""

    def __init__(self, name: str, child: Child, log: Path) -> None:
        self.name = name
        self.child = child
        self.log = log

    def check(self) -> None:
        """Raise ServerError with the last log lines if it has ended."""
        code = self.child.returncode
        if code is not None:
            raise ServerError(
                f"{self.name} ended by itself (exit code {code}), so the demo ends, too.",
                why=f"Its last words were:\n{tail(self.log, _LAST_LINES)}\n",
                do=f"The whole log: {self.log}",
            )

    def await_answer(self, port: int, path: str, wishes: Wishes) -> None:
        """Return when it answers 200 on `path`. Raises StartError if it ends first or takes too long."""
        pause, deadline = _PAUSES[0], time.monotonic() + _READY_S
        while not _answers(port, path):
            self.check()
            if time.monotonic() > deadline:
                raise StartError(
                    f"{self.name} was not ready within {_READY_S:.0f} s.",
                    do=f"See {self.log}.",
                    log_tail=tail(self.log, _LAST_LINES),
                )
            wishes.stop.wait(pause)
            pause = min(pause * 1.5, _PAUSES[1])

    def bound_log(self) -> None:
        """Keep a log that has grown too long as NAME.1 and begin it anew; the child appends, so it may stay open."""
        with contextlib.suppress(OSError):
            if self.log.stat().st_size > LOG_LIMIT:
                shutil.copyfile(self.log, self.log.with_name(self.log.name + ".1"))
                os.truncate(self.log, 0)


class Parts:
    """Starts programs of the platform and knows which run; each `running` block stops its program at the end."""

    def __init__(self, folder: DemoFolder, wishes: Wishes, url: str) -> None:
        self._folder = folder
        self._wishes = wishes
        self._url = url
        self._running: list[Part] = []

    @contextlib.contextmanager
    def running(
        self, name: str, arguments: Sequence[str | Path], settings: Path, patience: float
    ) -> Iterator[Part]:
        """`qytet ARGUMENTS` with the settings of a file; SIGTERM at the end, and SIGKILL after `patience` s."""
        log = self._folder.log / f"{name}.log"
        log.unlink(missing_ok=True)
        child = spawn(
            f"`qytet {arguments[0]}`",
            [sys.executable, "-P", "-m", "qytet", *arguments],
            log=log,
            environment=environment(settings),
            # A child of a killed demo has nobody left to talk to, and the promise survives its death.
            parent_death=signal.SIGKILL,
        )
        part = Part(name, child, log)
        self._running.append(part)
        self._note()
        try:
            yield part
        finally:
            self._running.remove(part)
            self._stop(part, patience)
            self._note()

    def check(self) -> None:
        """Raise ServerError if any of them has ended; keep their logs bounded."""
        for part in self._running:
            part.check()
            part.bound_log()

    def _stop(self, part: Part, patience: float) -> None:
        try:
            if self._wishes.hurry:
                part.child.kill()
            else:
                part.child.stop([(signal.SIGTERM, patience)])
        except BaseException:
            part.child.kill()
            raise

    def _note(self) -> None:
        self._folder.note(self._url, {part.name: part.child.pid for part in self._running})


def environment(settings: Path) -> dict[str, str]:
    """Our environment, but with the settings of that file alone: a deployment's must not leak into the demo."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("QYTET_")}
    return kept | {"QYTET_FILE": str(settings), "PYTHONUNBUFFERED": "1"}


def _answers(port: int, path: str) -> bool:
    link = http.client.HTTPConnection(LOOPBACK, port, timeout=5)
    try:
        link.request("GET", path)
        return link.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        link.close()
