"""The gateway at work: starts the parts, keeps each of them going, and stops them in order.

What fails does so alone: a part that ends is started again after a growing pause, and the others go on. Only
the spool is not: without it nothing could be accepted. At the end the sources stop first, and no command is carried
out any more; then the outputs go to their safe state, the uplink says goodbye, and the spool closes last.
"""

import asyncio
import contextlib
import fcntl
import os
import pwd
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from qytet import log
from qytet.errors import ServerError
from qytet_edge import gateway, status
from qytet_edge.clock import Clock
from qytet_edge.config import Config
from qytet_edge.ending import ended
from qytet_edge.gateway import Gateway
from qytet_edge.pauses import Pauses
from qytet_edge.spool import Spool
from qytet_edge.systemd import Systemd
from qytet_edge.threads import SourceThreads

__all__ = ["claimed", "run", "serve"]

_log = log.get("gateway")
_PAUSE_S = (1.0, 60.0)  # first and longest pause before a part that ended is started again
_ANSWERING_S = 1.0  # in which the city may still hear that the gateway starts again
_UNANSWERED_S = 30.0  # after which it does so even if the disk does not take the answer
_ORDERLY_S = 8.0
"""Longer than any part may take to end: the uplink's last words (twice 3 s), the sources' (5 s)."""


def run(config: Config) -> None:
    """Work until SIGTERM or Ctrl-C; a second one does not wait. Raises QytetError if it cannot even begin."""
    with claimed(config.data_dir):
        asyncio.run(_until_signal(config))


@contextlib.contextmanager
def claimed(folder: Path) -> Iterator[None]:
    """The data folder, held by this process alone until it ends. Raises ServerError."""
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        _check_owner(folder)
        lock = (folder / "lock").open("ab")
    except OSError as error:
        raise ServerError(
            f"The data folder {folder} cannot be used.",
            why=str(error),
            do="Mend its permissions, or choose another one by [gateway] data_dir.",
        ) from error
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise ServerError(
                "A gateway is running here already.",
                why=f"Another process holds {folder}.",
                do="Stop it (systemctl stop qytet-edge), or give this one a [gateway] data_dir of its own.",
            ) from error
        yield


def _check_owner(folder: Path) -> None:
    """Refuse to leave files of root's where another user's gateway must write. Raises ServerError."""
    owner = folder.stat().st_uid
    if os.geteuid() == 0 != owner:
        raise ServerError(
            f"The data folder {folder} belongs to another user.",
            why=f"Its owner is {_user(owner)}, whose gateway could not write what root leaves there.",
            do=f"Run it as that user: systemctl start qytet-edge, or sudo -u {_user(owner)}.",
        )


def _user(number: int) -> str:
    try:
        return pwd.getpwuid(number).pw_name
    except KeyError:
        return f"#{number}"


async def _until_signal(config: Config) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()

    def ask() -> None:
        if stop.is_set():
            raise KeyboardInterrupt  # who asks twice does not want to wait
        stop.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, ask)
    with Systemd() as systemd:
        await serve(config, stop, systemd)


async def serve(config: Config, stop: asyncio.Event, systemd: Systemd) -> None:
    """Work until `stop` is set. Raises QytetError if it cannot begin, or if the spool fails for good."""
    asyncio.get_running_loop().set_default_executor(SourceThreads())
    clock = Clock(config.clock)
    await clock.look()

    async def restart(_args: Mapping[str, Any]) -> str:
        loop = asyncio.get_running_loop()
        loop.call_later(_UNANSWERED_S, stop.set)
        made.orders.afterwards(lambda: loop.call_later(_ANSWERING_S, stop.set))
        return "the gateway starts again"

    async with contextlib.AsyncExitStack() as stack:
        spool = Spool(config.data_dir / "spool.db", gateway.limits(config), clock.stamp)
        async with _working("patience", systemd.extend(spool.busy_s)):  # a corrupt one may take half an hour
            await stack.enter_async_context(spool)
        made = Gateway(config, clock, spool, {"restart": restart})
        await made.orders.load()
        parts: dict[str, Callable[[], Awaitable[None]]] = {
            "clock": clock.run,
            "journal": made.journal.run,
            "uplink": made.uplink.run,
            "updates": made.updates.run,
        }
        for name, part in parts.items():
            await stack.enter_async_context(_working(name, _kept(name, part)))
        stack.push_async_callback(made.close_outputs)
        await made.open_outputs()
        await stack.enter_async_context(_working("orders", _kept("orders", made.orders.work)))
        sources = await stack.enter_async_context(_working("sources", made.supervisor.run(made.sources)))
        await stack.enter_async_context(status.serving(config.data_dir, made.state))
        await stack.enter_async_context(_working("watchdog", systemd.feed(made.alive)))
        await stack.enter_async_context(_working("evidence", made.prove()))
        systemd.say("READY=1", f"STATUS={len(config.sources)} sources")
        _log.info("working", gateway=config.gateway.name, boot=spool.boot, sources=len(config.sources))
        await _first(stop, sources)
        systemd.say("STOPPING=1")
        _log.info("stopping")
    _log.info("stopped")


async def _first(stop: asyncio.Event, sources: "asyncio.Task[None]") -> None:
    """Return when asked to stop; raises what ended the supervisor, should that ever happen."""
    asked = asyncio.create_task(stop.wait())
    try:
        await asyncio.wait({asked, sources}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        asked.cancel()
    if sources.done() and not sources.cancelled():
        sources.result()


@contextlib.asynccontextmanager
async def _working(name: str, work: Awaitable[None]) -> "AsyncIterator[asyncio.Task[None]]":
    """A task while the block lasts; then it is cancelled and has ended."""

    async def body() -> None:
        await work

    task = asyncio.create_task(body(), name=name)
    try:
        yield task
    finally:
        await ended(task, again_s=_ORDERLY_S)
        with contextlib.suppress(asyncio.CancelledError):
            try:
                await task
            except Exception:  # noqa: BLE001 (the parts after it must stop, too)
                _log.exception("ended badly", part=name)


async def _kept(name: str, part: Callable[[], Awaitable[None]]) -> None:
    """Start a part again whenever it ends."""
    pauses = Pauses(*_PAUSE_S)
    loop = asyncio.get_running_loop()
    while True:
        began = loop.time()
        try:
            await part()
            _log.error("ended", part=name)
        except Exception:  # noqa: BLE001 (it is started again)
            _log.exception("failed", part=name)
        if loop.time() - began > _PAUSE_S[1]:
            pauses.reset()
        await asyncio.sleep(pauses.next())
