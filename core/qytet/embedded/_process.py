"""A server as a child process: started out of the terminal's reach, watched, stopped, never left behind.

On Linux the kernel itself signals the child when its parent dies (`setpriv --pdeathsig`), even by SIGKILL.
That signal is sent when the *thread* that forked the child ends, therefore every child is forked by one
thread that lives as long as the process (or until threads are joined at interpreter exit). Elsewhere, and
where `setpriv` is missing, a child outlives a killed parent; the next start on its folder ends it.
"""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil

from qytet.embedded._errors import MissingServerError, StartError
from qytet.embedded._privileges import SELF, Identity

Progress = Callable[[str], None]

LOG_LIMIT = 10 * 1024 * 1024  # bytes; a longer log is set aside as NAME.1 at the next start
_TAIL = 4096  # bytes of the log that are read for an error message
_POLL = 0.02  # s between two looks at what offers no event; a child's exit is noticed at once

_forker = ThreadPoolExecutor(max_workers=1, thread_name_prefix="qytet-forker")


class Child:
    """A running server; the output of both streams goes to a log file."""

    def __init__(self, name: str, process: "subprocess.Popen[bytes]", log: Path) -> None:
        self.name = name
        self._process = process
        self._log = log

    @property
    def pid(self) -> int:
        """The process id of the server itself (wrappers replace themselves by exec)."""
        return self._process.pid

    @property
    def returncode(self) -> int | None:
        """None while it runs; negative for a signal."""
        return self._process.poll()

    def wait_until(
        self, ready: Callable[[], bool], deadline: float, progress: Progress | None = None
    ) -> None:
        """Return once `ready()`; raise StartError when the child exits first or `deadline` s pass."""
        polls = int(deadline / _POLL)
        for poll in range(polls):
            if ready():
                return
            with contextlib.suppress(subprocess.TimeoutExpired):
                code = self._process.wait(_POLL)
                raise self._start_error(f"exited with code {code} while starting")
            if progress and poll and poll % int(1 / _POLL) == 0:
                progress(f"{self.name} is still starting after {poll * _POLL:.0f} s")
        raise self._start_error(f"was not ready within {deadline:.0f} s")

    def stop(self, signals: Sequence[tuple[signal.Signals, float]]) -> int:
        """Send each signal in turn and wait its seconds; SIGKILL ends the list. Return the exit code."""
        for number, seconds in signals:
            if self._process.poll() is None:
                self._process.send_signal(number)
            with contextlib.suppress(subprocess.TimeoutExpired):
                return self._process.wait(seconds)
        self.kill()
        return self._process.wait()

    def kill(self) -> None:
        """SIGKILL the server, then wait until it and every process below it are gone."""
        below = _descendants(self.pid)
        self._process.kill()
        self._process.wait()
        # A server's workers notice its death by themselves; SIGKILL is for one that does not.
        _end_rest(below, patience=5)

    def _start_error(self, what: str) -> StartError:
        return StartError(f"{self.name} {what}.", do=f"See {self._log}.", log_tail=tail(self._log))


def spawn(
    name: str,
    command: Sequence[str | Path],
    *,
    log: Path,
    identity: Identity = SELF,
    environment: Mapping[str, str] | None = None,
    parent_death: signal.Signals = signal.SIGTERM,
) -> Child:
    """Start `command` in a session of its own; it gets `parent_death` when this process dies (Linux)."""
    rotate(log)
    arguments = [*death_wrapper(parent_death), *map(str, command)]

    def fork() -> "subprocess.Popen[bytes]":
        with log.open("ab") as output:
            return subprocess.Popen(
                arguments,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd="/",
                env=None if environment is None else dict(environment),
                start_new_session=True,
                **identity.as_popen(),
            )

    try:
        process = _forker.submit(fork).result()
    except FileNotFoundError as error:
        raise MissingServerError(
            f"{name} cannot be started.", why=f"{error.filename} does not exist.", do="Install it again."
        ) from error
    except PermissionError as error:
        raise StartError(f"{name} cannot be started.", why=str(error), do="Check who may run it.") from error
    _lift_file_limit(process.pid)
    return Child(name, process, log)


def _lift_file_limit(pid: int) -> None:
    """Let the server open as many files as the system allows: a broker needs one a client (Linux)."""
    with contextlib.suppress(OSError, psutil.Error, AttributeError):
        process = psutil.Process(pid)
        _, hard = process.rlimit(psutil.RLIMIT_NOFILE)
        process.rlimit(psutil.RLIMIT_NOFILE, (hard, hard))


def death_wrapper(number: signal.Signals) -> list[str]:
    """Return the words before a command that make it get the signal when the thread that forks it ends."""
    # After the change of user: the kernel forgets the death signal when credentials change.
    setpriv = shutil.which("setpriv", path=os.defpath + ":/usr/sbin:/sbin")
    if sys.platform != "linux" or setpriv is None:
        return []
    return [setpriv, "--pdeathsig", number.name.removeprefix("SIG"), "--"]


def rotate(log: Path) -> None:
    """Set a log aside as NAME.1 when it has grown beyond the limit, so that logs stay bounded."""
    with contextlib.suppress(FileNotFoundError):
        if log.stat().st_size > LOG_LIMIT:
            log.replace(log.with_name(log.name + ".1"))


def tail(log: Path, lines: int = 8) -> str:
    """Return the last lines of a log, or nothing when it cannot be read."""
    with contextlib.suppress(OSError), log.open("rb") as source:
        source.seek(max(0, log.stat().st_size - _TAIL))
        return "\n".join(source.read().decode("utf-8", "replace").splitlines()[-lines:])
    return ""


def end_orphan(pid: int, number: signal.Signals, deadline: float) -> None:
    """End a server that a dead parent left behind: `number`, and SIGKILL after `deadline` s."""
    with contextlib.suppress(psutil.NoSuchProcess):
        process = psutil.Process(pid)
        below = _descendants(pid)
        process.send_signal(number)
        _end_rest([process, *below], patience=deadline)


def _end_rest(processes: list[psutil.Process], patience: float) -> None:
    """Wait `patience` s until the processes are gone, then SIGKILL those that are not."""
    for _ in range(int(patience / _POLL)):
        processes = [process for process in processes if _is_alive(process)]
        if not processes:
            return
        time.sleep(_POLL)  # they are not our children: nothing can be awaited
    for process in processes:
        with contextlib.suppress(psutil.Error):
            process.kill()


def _is_alive(process: psutil.Process) -> bool:
    """Tell whether it still runs; a zombie does not, however long its new parent leaves it there."""
    with contextlib.suppress(psutil.NoSuchProcess):
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    return False


def _descendants(pid: int) -> list[psutil.Process]:
    with contextlib.suppress(psutil.Error):
        return psutil.Process(pid).children(recursive=True)
    return []
