"""Commands from the city: each is carried out at most once, in time, and answered; the answers go through the spool.

accepted    it was understood and is being carried out
done        it was carried out; `why` may hold its result
failed      it was not: unknown, too late, refused, or interrupted by a restart
"""

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, NamedTuple

import msgspec

from qytet import log
from qytet.errors import QytetError
from qytet_contract import VERSION, notices, strictjson
from qytet_contract.codes import ContractError
from qytet_contract.notices import MAX_TEXT
from qytet_edge.desk import Store
from qytet_edge.records import Checkpoint, Notice

__all__ = ["Delegate", "Handler", "Orders"]

Handler = Callable[[Mapping[str, Any]], Awaitable[str]]
"""Carries out a command with these arguments; returns what to say. Raises QytetError if it cannot."""

Delegate = Callable[[str, Mapping[str, Any]], Awaitable[None]]
"""Takes a command's id and arguments and answers by `Orders.answer` itself, also across restarts and repetitions."""

_KEEP = 200  # commands remembered, so that one that comes again is only answered again
_WAITING = 16
_LONGEST_S = 60.0  # that a command may take; the next one waits for it
_CHECKPOINT = "gateway.orders"

_log = log.get("orders")


class _Seen(msgspec.Struct):
    """What became of a command: "accepted" while it is carried out."""

    s: str
    why: str = ""


class _Order(NamedTuple):
    """What a command wants, and until when (Unix ms)."""

    name: str
    args: dict[str, Any]
    exp: int


class Orders:
    """Takes commands in; `work` carries them out one after the other."""

    def __init__(
        self, device: str, store: Store, handlers: Mapping[str, Handler], now_ms: Callable[[], int | None]
    ) -> None:
        self._device = device
        self._store = store
        self._handlers = handlers
        self._now_ms = now_ms
        self._delegates: dict[str, Delegate] = {}
        self._seen: OrderedDict[str, _Seen] = OrderedDict()
        self._queue: asyncio.Queue[tuple[str, _Order]] = asyncio.Queue(_WAITING)
        self._interrupted: list[str] = []
        self._afterwards: list[Callable[[], object]] = []

    def afterwards(self, act: Callable[[], object]) -> None:
        """Of a handler at work: do this once its answer is kept, so that a restart finds the command ended."""
        self._afterwards.append(act)

    def delegate(self, name: str, delegate: Delegate) -> None:
        """Leave a command, its memory and its answers to somebody else."""
        self._delegates[name] = delegate

    async def answer(self, ident: str, word: str, why: str) -> None:
        """A delegate's answer; returns when it is durable."""
        await self._say(ident, _Seen(word, why[:MAX_TEXT]))

    @property
    def idle(self) -> bool:
        """Whether nothing waits or is being carried out."""
        return not any(seen.s == "accepted" for seen in self._seen.values())

    async def load(self) -> None:
        """Remember earlier commands; writes nothing, as a full disk must not hold up the start."""
        state = await self._store.checkpoint(_CHECKPOINT)
        if state is None:
            return
        try:
            self._seen = OrderedDict(msgspec.json.decode(state, type=dict[str, _Seen]))
        except msgspec.MsgspecError as error:
            _log.error("what is remembered of commands cannot be read and begins anew", why=str(error))
        self._interrupted = [ident for ident, seen in self._seen.items() if seen.s == "accepted"]

    async def take(self, ident: str, payload: bytes) -> None:
        """A command has come: refuse it, answer it again, or line it up."""
        seen = self._seen.get(ident)
        if seen is not None:
            await self._say(ident, seen)
            return
        try:
            order = self._understood(payload)
        except (ContractError, QytetError) as error:
            await self._say(ident, _Seen("failed", str(error)[:MAX_TEXT]))  # it would be refused again
            return
        if order.name in self._delegates:
            await self._delegates[order.name](ident, order.args)
            return
        if self._queue.full():
            await self._say(ident, _Seen("failed", f"{_WAITING} commands wait already"))
            return
        try:
            await self._answer(ident, "accepted", "")
        except BaseException:  # the line was lost meanwhile, say: it comes again, and nobody has begun it
            self._seen.pop(ident, None)
            raise
        self._queue.put_nowait((ident, order))

    async def work(self) -> None:
        """Answer what an earlier life did not end as failed, then carry out what waits, for ever."""
        while self._interrupted:
            await self._answer(self._interrupted[0], "failed", "interrupted: the gateway started again")
            del self._interrupted[0]
        while True:
            ident, order = await self._queue.get()
            _log.info("command", ident=ident, name=order.name)
            try:
                self._check_in_time(order.exp)  # it may have waited for another one
                async with asyncio.timeout(_LONGEST_S):
                    said = await self._handlers[order.name](order.args)
            except TimeoutError as error:
                why = str(error) or f"it was given up after {_LONGEST_S:.0f} s; it may have been done"
                await self._answer(ident, "failed", why)
            except (QytetError, OSError, ValueError) as error:
                await self._answer(ident, "failed", str(error))
            except Exception as error:  # noqa: BLE001 (the city learns of it)
                _log.exception("command failed", ident=ident, name=order.name)
                await self._answer(ident, "failed", f"{type(error).__name__}: {error}")
            else:
                await self._answer(ident, "done", said)
            acts, self._afterwards = self._afterwards, []
            for act in acts:
                act()

    def _understood(self, payload: bytes) -> _Order:
        value: Any = strictjson.loads(payload)
        notices.check_cmd(value)
        self._check_in_time(value["exp"])
        known = sorted({*self._handlers, *self._delegates})
        if value["cmd"] not in known:
            raise QytetError(f"There is no command {value['cmd']!r} here", why=f"known: {known}")
        return _Order(value["cmd"], value["args"], value["exp"])

    def _check_in_time(self, exp: int) -> None:
        now = self._now_ms()
        if now is None:
            raise QytetError(
                "The gateway does not know the time", why="so it cannot tell whether this is too late."
            )
        if exp <= now:
            raise QytetError("The command came too late", why="it has expired.")

    async def _answer(self, ident: str, word: str, why: str) -> None:
        """Remember first: a crash in between leaves a command unanswered rather than carried out twice."""
        seen = _Seen(word, why[:MAX_TEXT])
        self._seen[ident] = seen
        while len(self._seen) > _KEEP:  # the oldest: far fewer than these wait
            self._seen.popitem(last=False)
        await self._store.put([], Checkpoint(_CHECKPOINT, msgspec.json.encode(self._seen)))
        await self._say(ident, seen)

    async def _say(self, ident: str, seen: _Seen) -> None:
        payload = msgspec.json.encode({"v": VERSION, "s": seen.s, "why": seen.why})
        await self._store.notify(Notice(self._device, f"ack/{ident}", payload))
