"""The embedded database and broker of the demo, started side by side, migrated, and with the fleet registered."""

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from qytet.db import migrate, registry
from qytet.demo.children import environment
from qytet.demo.folder import DemoFolder
from qytet.demo.wishes import Wishes
from qytet.embedded import EmbeddedNats, EmbeddedPostgres
from qytet.embedded._process import Progress, end_orphan
from qytet.errors import ServerError
from qytet.settings import Settings

__all__ = ["Pair", "describe_fleet", "prepare", "running", "write_settings"]


@dataclass(frozen=True, slots=True)
class Pair:
    """The two servers, both running."""

    postgres: EmbeddedPostgres
    nats: EmbeddedNats


@contextlib.contextmanager
def running(folder: DemoFolder, wishes: Wishes, progress: Progress) -> Iterator[Pair]:
    """Both servers while the block runs; the broker stops first. Raises EmbeddedError."""
    pair = Pair(
        EmbeddedPostgres(folder.postgres, progress=progress), EmbeddedNats(folder.nats, progress=progress)
    )
    with contextlib.ExitStack() as stack:
        stack.callback(_stop, pair.postgres, wishes)
        stack.callback(_stop, pair.nats, wishes)
        with ThreadPoolExecutor(2, thread_name_prefix="demo-server") as threads:
            broker = threads.submit(pair.nats.start)
            threads.submit(pair.postgres.start).result()
            broker.result()
        yield pair


def _stop(server: EmbeddedPostgres | EmbeddedNats, wishes: Wishes) -> None:
    pid = server.pid
    try:
        if wishes.hurry:
            server.kill()
        else:
            server.stop()
    except BaseException:
        if pid is not None:
            end_orphan(pid, signal.SIGQUIT, deadline=5)
        raise


def describe_fleet(settings: Path, fleet: list[str]) -> bytes:
    """What `qytet simulate describe` prints. Raises ServerError."""
    done = subprocess.run(
        [sys.executable, "-P", "-m", "qytet", "simulate", "describe", "--json", *fleet],
        capture_output=True,
        stdin=subprocess.DEVNULL,
        env=environment(settings),
        check=False,
        start_new_session=True,  # Ctrl-C is ours to heed
    )
    if done.returncode:
        raise ServerError(
            "The simulators cannot describe their devices.", why=done.stderr.decode(errors="replace")[-2000:]
        )
    return done.stdout


def prepare(pair: Pair, description: bytes) -> dict[str, int]:
    """Migrate the database and register the fleet; how much was registered. Raises QytetError."""
    with migrate.connect(pair.postgres.url) as connection:
        migrate.migrate(connection)
        return registry.register(connection, registry.parse(description))


def write_settings(folder: DemoFolder, name: str, settings: Settings, **sections: dict[str, Any]) -> Path:
    """A settings file for children, readable by us alone; `sections` are TOML tables of plain values."""
    top = {
        "data_dir": str(folder.root),
        "language": settings.language,
    }
    lines = [_line(key, value) for key, value in top.items()]
    for section, values in {**sections, "log": {"format": "json"}}.items():
        lines += ["", f"[{section}]", *(_line(key, value) for key, value in values.items())]
    path = folder.own / name
    path.unlink(missing_ok=True)
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(fd, "w", encoding="utf-8") as file:
        file.write("\n".join(["# Made by the demo at every start.", *lines, ""]))
    return path


def _line(key: str, value: object) -> str:
    return f"{key} = {json.dumps(value, ensure_ascii=False)}"  # strings and numbers are the same in TOML
