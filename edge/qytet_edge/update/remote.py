"""The city's command `update`: fetch the bundle, ask root's unit to install it, answer with what became of it.

The command is kept in a file, so that it survives the restart that is its purpose: the process that answers `done`
is the new release, the one that answers `failed` the old one.
"""

import asyncio
import re
import threading
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path

import msgspec

from qytet import log
from qytet.errors import InputError, QytetError
from qytet_edge.ending import until
from qytet_edge.update import disk, trial
from qytet_edge.update.fetch import check_url, fetch
from qytet_edge.update.layout import Layout

__all__ = ["ATTEMPTS", "Updates"]

ATTEMPTS = 5
"""How often a bundle is fetched and handed over before the command fails."""
PAUSES_S = (10.0, 60.0, 300.0, 900.0)

Answer = Callable[[str, str, str], Awaitable[None]]
"""Takes a command's id, `accepted`, `done` or `failed`, and why; returns when the answer is durable."""
Tell = Callable[[str, str], Awaitable[None]]
"""Takes a level (info, warning) and a line for the device's log."""

_log = log.get("update")


class _Command(msgspec.Struct):
    ident: str
    url: str
    sha256: str
    attempts: int = 0

    @property
    def bundle(self) -> str:
        return f"bundle-{self.sha256}.tar"


class Updates:
    """Give commands to `command`; let `run` run as a task. `pauses_s` and `poll_s` are shortened by tests."""

    def __init__(
        self,
        layout: Layout,
        answer: Answer,
        tell: Tell,
        *,
        poll_s: float = 5.0,
        pauses_s: tuple[float, ...] = PAUSES_S,
    ) -> None:
        self._layout = layout
        self._answer = answer
        self._tell = tell
        self._poll_s = poll_s
        self._pauses_s = pauses_s
        self._kept = layout.service / "command"
        self._told = layout.service / "told"
        self._wake = asyncio.Event()

    async def command(self, ident: str, args: Mapping[str, object]) -> None:
        """Begin an update (`url`, `sha256`); the answers come by `answer`. The same id again changes nothing."""
        pending = self._pending()
        if pending and pending.ident == ident:
            await self._answer(ident, "accepted", "")
            return
        outcome = trial.read(self._layout.outcome)
        if outcome.get("ident") == ident:
            await self._answer(ident, outcome["result"], outcome["why"][:200])
            return
        try:
            self._begin(_command(ident, args), pending)
        except (QytetError, OSError) as error:
            await self._answer(ident, "failed", str(error)[:200])
            return
        await self._answer(ident, "accepted", "")
        self._wake.set()

    async def run(self) -> None:
        """Carry pending commands on and tell what became of trials, until cancelled."""
        while True:
            self._wake.clear()
            try:
                await self._tell_outcome()
                pending = self._pending()
                if pending:
                    await self._advance(pending)
            except (QytetError, OSError) as error:
                _log.warning("update", why=str(error))
            waits = self._poll_s if self._pending() or self._layout.trial.exists() else None
            await until(self._wake, waits)

    def _begin(self, command: _Command, pending: _Command | None) -> None:
        if not self._layout.current.is_symlink():
            raise InputError("This gateway was not installed by its install script.", do="Update it by hand.")
        if pending:
            raise InputError(f"The update {pending.ident} is under way.")
        self._keep(command)

    def _pending(self) -> _Command | None:
        try:
            return msgspec.json.decode(self._kept.read_bytes(), type=_Command)
        except FileNotFoundError:
            return None
        except (msgspec.MsgspecError, OSError) as error:
            _log.warning("command_unreadable", why=str(error))
            return None

    def _keep(self, command: _Command) -> None:
        disk.write(self._kept, msgspec.json.encode(command))

    async def _advance(self, command: _Command) -> None:
        """One step; looks in the order in which an update proceeds, so that it cannot slip past between two looks."""
        if self._layout.request.exists():
            return
        if trial.read(self._layout.trial / "info").get("ident") == command.ident:
            return
        outcome = trial.read(self._layout.outcome)
        if outcome.get("ident") == command.ident:
            await self._end(command, outcome["result"], outcome["why"])
        elif command.attempts >= ATTEMPTS:
            await self._end(command, "failed", f"it was cut off {command.attempts} times")
        else:
            await self._hand_over(command)

    async def _hand_over(self, command: _Command) -> None:
        command.attempts += 1
        self._keep(command)
        bundle = self._layout.service / command.bundle
        stop = threading.Event()
        try:
            if not bundle.exists():
                await asyncio.to_thread(fetch, command.url, command.sha256, bundle, stop)
        except InputError as error:
            await self._end(command, "failed", str(error))
            return
        except OSError as error:
            await self._after_a_broken_line(command, error)
            return
        finally:
            stop.set()  # if we are cancelled, the thread ends at its next piece
        request = {"ident": command.ident, "bundle": bundle.name}
        disk.write(self._layout.request, msgspec.json.encode(request))

    async def _after_a_broken_line(self, command: _Command, error: OSError) -> None:
        _log.warning("fetch", why=str(error), attempt=command.attempts)
        if command.attempts >= ATTEMPTS:
            await self._end(command, "failed", f"the bundle could not be fetched: {error}")
            return
        await asyncio.sleep(self._pauses_s[min(command.attempts, len(self._pauses_s)) - 1])

    async def _end(self, command: _Command, result: str, why: str) -> None:
        """Answer, then forget; a power cut between answers twice, which the city takes as once."""
        await self._answer(command.ident, result, why[:200])
        for found in self._layout.service.glob("bundle-*"):
            found.unlink(missing_ok=True)
        self._kept.unlink(missing_ok=True)

    async def _tell_outcome(self) -> None:
        """Put the end of each trial into the device's log, once, also of those begun at the gateway itself."""
        outcome = trial.read(self._layout.outcome)
        if not outcome.get("id") or not _differs(self._told, outcome["id"]):
            return
        what = f"{outcome.get('kind', '')} {outcome.get('to', '')[:64]}"
        if outcome.get("result") == "done":
            await self._tell("info", f"update committed: {what}")
        else:
            await self._tell("warning", f"update failed: {what}: {outcome.get('why', '')}"[:200])
        disk.write(self._told, outcome["id"].encode())


def _command(ident: str, args: Mapping[str, object]) -> _Command:
    url, sha256 = args.get("url"), args.get("sha256")
    if not isinstance(url, str) or not isinstance(sha256, str) or not re.fullmatch("[0-9a-f]{64}", sha256):
        raise InputError("update needs url (text) and sha256 (64 hexadecimal digits).")
    check_url(url)
    return _Command(ident, url, sha256)


def _differs(path: Path, text: str) -> bool:
    try:
        return path.read_text(encoding="utf-8") != text
    except OSError:
        return True
