"""Commands from the city: carried out at most once, in time, and answered, also across restarts."""

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

import pytest

from qytet.errors import QytetError
from qytet_contract import notices
from qytet_edge.orders import Handler, Orders
from qytet_edge.records import Checkpoint, Notice, Reading, Relayed

NOW = 1_800_000_000_000


class Memory:
    """A spool in memory that outlives the orders that use it."""

    def __init__(self) -> None:
        self.said: list[tuple[str, str, str]] = []
        self.states: dict[str, bytes] = {}

    async def put(self, readings: Sequence[Reading], checkpoint: Checkpoint | None = None) -> None:
        assert not readings
        assert checkpoint is not None
        self.states[checkpoint.source] = checkpoint.state

    async def relay(self, records: Sequence[Relayed]) -> None:
        raise NotImplementedError

    async def holds(self, device: str, boot: str, lo: int) -> None:
        raise NotImplementedError

    async def notify(self, notice: Notice) -> None:
        answer = json.loads(notice.payload)
        notices.check_ack(answer)
        assert notice.device == "gw-1"
        self.said.append((notice.kind, answer["s"], answer["why"]))

    async def checkpoint(self, source: str) -> bytes | None:
        return self.states.get(source)


def _command(name: str, exp: int = NOW + 1000, **args: Any) -> bytes:
    return json.dumps({"v": 1, "cmd": name, "exp": exp, "args": args}).encode()


def _run(
    memory: Memory,
    handlers: Mapping[str, Handler],
    script: Callable[[Orders], Awaitable[None]],
    now: int | None = NOW,
) -> list[tuple[str, str, str]]:
    """One life of the gateway; returns all answers so far once nothing waits."""

    async def main() -> None:
        orders = Orders("gw-1", memory, handlers, lambda: now)
        await orders.load()
        working = asyncio.create_task(orders.work())
        try:
            await script(orders)
            async with asyncio.timeout(5):
                while not (orders.idle or working.done()):  # noqa: ASYNC110 (looked at by this test alone)
                    await asyncio.sleep(0)
        finally:
            working.cancel()
            await asyncio.gather(working, return_exceptions=True)

    asyncio.run(main())
    return memory.said


class _Count:
    """A handler that counts its calls."""

    def __init__(self) -> None:
        self.calls: list[Mapping[str, Any]] = []

    async def __call__(self, args: Mapping[str, Any]) -> str:
        self.calls.append(args)
        return "fine"


def test_done_once_and_answered() -> None:
    """A command is accepted, carried out and answered; the same id again is only answered again."""
    count = _Count()

    async def script(orders: Orders) -> None:
        await orders.take("c1", _command("go", level=5))
        await asyncio.sleep(0)
        for _ in range(20):
            await asyncio.sleep(0)
        await orders.take("c1", _command("go", level=5))

    said = _run(Memory(), {"go": count}, script)
    assert count.calls == [{"level": 5}]
    assert said == [("ack/c1", "accepted", ""), ("ack/c1", "done", "fine"), ("ack/c1", "done", "fine")]


def test_once_across_restarts() -> None:
    """A command that was carried out before a restart is not carried out again after it."""
    memory, count = Memory(), _Count()

    async def script(orders: Orders) -> None:
        await orders.take("c1", _command("go"))

    _run(memory, {"go": count}, script)
    said = _run(memory, {"go": count}, script)
    assert len(count.calls) == 1
    assert said[-1] == ("ack/c1", "done", "fine")


def test_a_full_disk_does_not_hold_up_the_start() -> None:
    """What was interrupted is answered when the disk has room: before, the uplink must start, whose marks make it."""

    class Full(Memory):
        async def put(self, *_: object) -> None:
            await asyncio.Event().wait()

    async def main() -> None:
        full = Full()
        full.states["gateway.orders"] = b'{"c1":{"s":"accepted"}}'
        await asyncio.wait_for(Orders("gw-1", full, {}, lambda: NOW).load(), 5)

    asyncio.run(main())


def test_a_memory_that_cannot_be_read_begins_anew() -> None:
    """What another release wrote does not keep the gateway from starting."""
    memory, count = Memory(), _Count()
    memory.states["gateway.orders"] = b'["something else"]'

    async def script(orders: Orders) -> None:
        await orders.take("c1", _command("go"))

    assert _run(memory, {"go": count}, script)[-1] == ("ack/c1", "done", "fine")


def test_interrupted_is_failed() -> None:
    """A command during which the gateway died is answered as failed at the next start, and not repeated."""
    memory, count = Memory(), _Count()

    async def dies(_args: Mapping[str, Any]) -> str:
        raise asyncio.CancelledError

    async def script(orders: Orders) -> None:
        await orders.take("c1", _command("go"))
        for _ in range(20):
            await asyncio.sleep(0)

    _run(memory, {"go": dies}, script)
    assert memory.said == [("ack/c1", "accepted", "")]

    async def again(orders: Orders) -> None:
        await orders.take("c1", _command("go"))

    said = _run(memory, {"go": count}, again)
    assert said[-1][:2] == ("ack/c1", "failed")
    assert "interrupted" in said[-1][2]
    assert count.calls == []


@pytest.mark.parametrize(
    ("payload", "now", "why"),
    [
        (_command("go", exp=NOW), NOW, "too late"),
        (_command("go"), None, "does not know the time"),
        (_command("fly"), NOW, "no command 'fly'"),
        (b"{", NOW, "not_json"),
        (b'{"v":1,"cmd":"go","exp":1800000000000}', NOW, "missing_field"),
    ],
)
def test_refused_with_reason(payload: bytes, now: int | None, why: str) -> None:
    """What is too late, unknown or unreadable is refused with the reason, and nothing is done."""
    count = _Count()

    async def script(orders: Orders) -> None:
        await orders.take("c1", payload)

    [(kind, word, said)] = _run(Memory(), {"go": count}, script, now)
    assert (kind, word) == ("ack/c1", "failed")
    assert why in said
    assert count.calls == []


def test_what_waits_too_long_is_not_done() -> None:
    """A command that expires while another one is carried out is refused: a valve is not moved an hour late."""
    memory, count, now = Memory(), _Count(), [NOW]

    async def slow(_args: Mapping[str, Any]) -> str:
        now[0] += 2000
        return ""

    async def main() -> None:
        orders = Orders("gw-1", memory, {"slow": slow, "go": count}, lambda: now[0])
        await orders.take("c1", _command("slow"))
        await orders.take("c2", _command("go"))
        working = asyncio.create_task(orders.work())
        async with asyncio.timeout(5):
            while not orders.idle:  # noqa: ASYNC110 (looked at by this test alone)
                await asyncio.sleep(0)
        working.cancel()
        await asyncio.gather(working, return_exceptions=True)

    asyncio.run(main())
    assert count.calls == []
    assert [said[:2] for said in memory.said[2:]] == [("ack/c1", "done"), ("ack/c2", "failed")]
    assert "too late" in memory.said[3][2]


def test_a_command_whose_taking_was_given_up_is_carried_out_when_it_comes_again() -> None:
    """Given up while the disk takes it, a command is not for ever "accepted": the broker brings it again."""
    count = _Count()

    class Held(Memory):
        room = asyncio.Event()

        async def put(self, readings: Sequence[Reading], checkpoint: Checkpoint | None = None) -> None:
            await self.room.wait()
            await super().put(readings, checkpoint)

    memory = Held()

    async def script(orders: Orders) -> None:
        taking = asyncio.create_task(orders.take("c1", _command("go")))
        await asyncio.sleep(0)
        taking.cancel()
        await asyncio.gather(taking, return_exceptions=True)
        memory.room.set()
        await orders.take("c1", _command("go"))

    said = _run(memory, {"go": count}, script)
    assert [one[:2] for one in said] == [("ack/c1", "accepted"), ("ack/c1", "done")]
    assert len(count.calls) == 1


def test_what_comes_afterwards_waits_until_the_answer_is_kept() -> None:
    """A restart that a command asks for begins when the disk has taken its answer, however long that lasts."""
    kept = asyncio.Event()

    class Slow(Memory):
        async def put(self, readings: Sequence[Reading], checkpoint: Checkpoint | None = None) -> None:
            assert checkpoint is not None
            if b'"done"' in checkpoint.state:
                await kept.wait()
            await super().put(readings, checkpoint)

    async def main() -> None:
        memory, stopped, asked = Slow(), asyncio.Event(), asyncio.Event()

        async def restart(_args: Mapping[str, Any]) -> str:
            orders.afterwards(stopped.set)
            asked.set()
            return ""

        orders = Orders("gw-1", memory, {"restart": restart}, lambda: NOW)
        await orders.take("c1", _command("restart"))
        working = asyncio.create_task(orders.work())
        await asked.wait()
        for _ in range(20):
            await asyncio.sleep(0)
        assert not stopped.is_set()
        kept.set()
        async with asyncio.timeout(90):
            await stopped.wait()
        working.cancel()
        await asyncio.gather(working, return_exceptions=True)
        assert memory.said[-1][:2] == ("ack/c1", "done")

    asyncio.run(main())


def test_what_hangs_makes_room(monkeypatch: pytest.MonkeyPatch) -> None:
    """A command that never ends is given up, told as failed, and the next one is carried out."""
    monkeypatch.setattr("qytet_edge.orders._LONGEST_S", 0.01)
    count = _Count()

    async def hangs(_args: Mapping[str, Any]) -> str:
        await asyncio.Event().wait()
        return ""

    async def script(orders: Orders) -> None:
        await orders.take("c1", _command("hangs"))
        await orders.take("c2", _command("go"))

    said = _run(Memory(), {"hangs": hangs, "go": count}, script)
    assert [one[:2] for one in said[2:]] == [("ack/c1", "failed"), ("ack/c2", "done")]
    assert "given up" in said[2][2]


@pytest.mark.parametrize("error", [QytetError("no"), OSError("no"), KeyError("no")])
def test_failure_is_told(error: Exception) -> None:
    """Whatever goes wrong in a command is its answer, and the next command is carried out."""
    count = _Count()

    async def fails(_args: Mapping[str, Any]) -> str:
        raise error

    async def script(orders: Orders) -> None:
        await orders.take("c1", _command("bad"))
        await orders.take("c2", _command("go"))

    said = _run(Memory(), {"bad": fails, "go": count}, script)
    assert [(kind, word) for kind, word, _ in said if word != "accepted"] == [
        ("ack/c1", "failed"),
        ("ack/c2", "done"),
    ]
    assert "no" in next(why for _, word, why in said if word == "failed")


def test_bounded() -> None:
    """More commands at once than may wait are refused, and only the latest are remembered."""
    memory, count = Memory(), _Count()

    async def script(orders: Orders) -> None:
        for number in range(300):
            await orders.take(f"c{number}", _command("go"))

    said = _run(memory, {"go": count}, script)
    assert 0 < len(count.calls) < 300
    assert sum(word == "failed" and "wait already" in why for _, word, why in said) == 300 - len(count.calls)
    assert len(json.loads(memory.states["gateway.orders"])) <= 200
