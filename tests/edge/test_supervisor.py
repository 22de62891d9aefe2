"""The supervisor: a source that fails, hangs, blocks or falls silent is restarted, and no other notices."""

import asyncio
import threading
from collections.abc import Awaitable, Callable, Mapping, Sequence

import pytest

from qytet_edge.desk import MOST_DEVICES, Account
from qytet_edge.ports import Sink
from qytet_edge.records import Checkpoint, Notice, Reading, Relayed
from qytet_edge.service import _working
from qytet_edge.supervisor import Patience, Supervisor
from qytet_edge.threads import OWNER, THREADS, WAITING, SourceThreads
from tests.edge.quick_time import quickly

QUICK = Patience(first=0.01, most=0.05, well=10.0, ending=0.05)
READING = Reading("air", {"pm2_5": 1.0})


class Memory:
    """A spool that keeps everything in memory, and can be told to wait as a full disk makes it."""

    def __init__(self) -> None:
        self.kept: list[Reading] = []
        self.room = asyncio.Event()
        self.room.set()

    async def put(self, readings: Sequence[Reading], checkpoint: Checkpoint | None = None) -> None:
        del checkpoint
        await self.room.wait()
        self.kept += readings

    async def relay(self, records: Sequence[Relayed]) -> None:
        raise NotImplementedError

    async def holds(self, device: str, boot: str, lo: int) -> None:
        raise NotImplementedError

    async def notify(self, notice: Notice) -> None:
        raise NotImplementedError

    async def checkpoint(self, source: str) -> bytes | None:
        del source
        return None


class Scripted:
    """A source whose `run` is the function it is given."""

    streams: Mapping[str, Sequence[str]] = {}

    def __init__(self, name: str, run: Callable[[Sink], Awaitable[None]], deadline_s: float = 60.0) -> None:
        self.name = name
        self.deadline_s = deadline_s
        self.runs = 0
        self._run = run

    async def run(self, sink: Sink) -> None:
        self.runs += 1
        await self._run(sink)


async def _steady(sink: Sink) -> None:
    while True:
        await sink.put([READING])
        await asyncio.sleep(0.005)


async def _until(condition: Callable[[], bool], seconds: float = 60.0) -> None:
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110 (what is watched has no events)
            await asyncio.sleep(0.005)


def _with(sources: Sequence[Scripted], script: Callable[[Supervisor, Memory], Awaitable[None]]) -> None:
    """Run a script beside the supervised sources, in a time of their own, then stop them."""

    async def main() -> None:
        memory = Memory()
        supervisor = Supervisor(memory, patience=QUICK, now=asyncio.get_running_loop().time)
        running = asyncio.create_task(supervisor.run(sources))
        try:
            await _until(lambda: len(supervisor.accounts) == len(sources))
            await script(supervisor, memory)
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)

    quickly(main())


class TestRestart:
    """Whatever ends a run is counted and answered by another one."""

    def test_failing_source_is_restarted(self) -> None:
        """A source that raises is started again, its error is told, and its neighbour goes on."""

        async def fails(sink: Sink) -> None:
            await sink.put([Reading("bad", {"pm2_5": 2.0})])
            raise OSError("unplugged")

        bad, good = Scripted("bad", fails), Scripted("good", _steady)

        async def script(supervisor: Supervisor, memory: Memory) -> None:
            await _until(lambda: bad.runs >= 4)
            assert supervisor.accounts["bad"].error == "unplugged"
            assert supervisor.accounts["bad"].restarts >= 3
            assert supervisor.accounts["bad"].devices["bad"].values == {"pm2_5": 2.0}
            assert supervisor.accounts["good"].restarts == 0
            before = len(memory.kept)
            await _until(lambda: len(memory.kept) > before + 10)

        _with([bad, good], script)

    def test_returning_source_is_restarted(self) -> None:
        """A source that returns, or is cancelled from inside, is started again."""

        async def returns(sink: Sink) -> None:
            sink.beat()

        async def cancelled(sink: Sink) -> None:
            sink.beat()
            raise asyncio.CancelledError

        sources = [Scripted("returns", returns), Scripted("cancelled", cancelled)]

        async def script(supervisor: Supervisor, memory: Memory) -> None:
            del memory
            await _until(lambda: all(source.runs >= 3 for source in sources))
            assert "returned" in supervisor.accounts["returns"].error
            assert "cancelled itself" in supervisor.accounts["cancelled"].error

        _with(sources, script)

    def test_silent_source_is_restarted(self) -> None:
        """Without progress a source is restarted at its deadline; trouble is no progress, a beat is."""

        async def silent(sink: Sink) -> None:
            while True:
                sink.trouble("no answer", device="unit7")
                await asyncio.sleep(0.01)

        async def beats(sink: Sink) -> None:
            while True:
                sink.beat()
                await asyncio.sleep(0.01)

        dead, alive = Scripted("dead", silent, 0.1), Scripted("alive", beats, 0.1)

        async def script(supervisor: Supervisor, memory: Memory) -> None:
            del memory
            await _until(lambda: dead.runs >= 3)
            assert supervisor.accounts["dead"].devices["unit7"].errors > 5
            assert alive.runs == 1

        _with([dead, alive], script)

    def test_waiting_for_the_disk_is_no_silence(self) -> None:
        """A source whose put waits for a full disk is not restarted, and its reading is kept once there is room."""
        source = Scripted("air", _steady, 0.05)

        async def script(supervisor: Supervisor, memory: Memory) -> None:
            await _until(lambda: len(memory.kept) > 3)
            memory.room.clear()
            await asyncio.sleep(0.3)  # six deadlines
            assert source.runs == 1
            kept = len(memory.kept)
            memory.room.set()
            await _until(lambda: len(memory.kept) > kept)
            assert supervisor.accounts["air"].restarts == 0

        _with([source], script)

    def test_stuck_source_is_never_doubled(self) -> None:
        """A run that ignores its cancellation is told again and again, and only its end starts the next."""
        release = asyncio.Event()

        async def stubborn(sink: Sink) -> None:
            del sink
            while not release.is_set():
                try:
                    await release.wait()
                except asyncio.CancelledError:
                    continue

        stuck, good = Scripted("stuck", stubborn, 0.05), Scripted("good", _steady)

        async def script(supervisor: Supervisor, memory: Memory) -> None:
            await _until(lambda: supervisor.accounts["stuck"].state == "stuck")
            before = len(memory.kept)
            await _until(lambda: len(memory.kept) > before + 10)
            assert stuck.runs == 1
            release.set()
            await _until(lambda: stuck.runs >= 2)

        _with([stuck, good], script)

    def test_a_run_that_is_over_cannot_put(self) -> None:
        """What a restarted source left behind cannot put any more: its successor has the checkpoint."""
        desks: list[Sink] = []

        async def leaves(sink: Sink) -> None:
            desks.append(sink)

        async def script(supervisor: Supervisor, memory: Memory) -> None:
            del supervisor
            await _until(lambda: len(desks) >= 2)
            with pytest.raises(RuntimeError, match="is over"):
                await desks[0].put([READING])
            assert memory.kept == []

        _with([Scripted("leaves", leaves)], script)


def test_a_stop_waits_for_last_words() -> None:
    """However the stop is passed on, a source has the whole time it was promised to close what it holds."""

    async def main() -> None:
        memory, patience = Memory(), Patience()

        async def slow_to_end(sink: Sink) -> None:
            try:
                await asyncio.Event().wait()
            finally:
                await asyncio.sleep(0.9 * patience.ending)  # the disk takes its time
                await sink.put([READING])

        loop, source = asyncio.get_running_loop(), Scripted("meter", slow_to_end)
        supervisor = Supervisor(memory, patience=patience, now=loop.time)
        async with _working("sources", supervisor.run([source])):
            await _until(lambda: source.runs == 1)
        assert memory.kept == [READING]

    quickly(main())


def test_blocked_threads_stall_nobody_else() -> None:
    """A source all of whose threads hang for ever leaves every other source its own, and the process ends."""
    hang = threading.Event()

    async def hangs(sink: Sink) -> None:
        sink.beat()
        await asyncio.gather(*(asyncio.to_thread(hang.wait) for _ in range(THREADS * 3)))

    async def works(sink: Sink) -> None:
        while True:
            await sink.put([await asyncio.to_thread(lambda: READING)])

    async def main() -> int:
        asyncio.get_running_loop().set_default_executor(SourceThreads())
        memory = Memory()
        supervisor = Supervisor(memory, patience=QUICK)
        sources = [Scripted("hangs", hangs, 0.05), Scripted("works", works)]
        running = asyncio.create_task(supervisor.run(sources))
        try:
            await _until(lambda: sources[0].runs >= 3)
            before = len(memory.kept)
            await _until(lambda: len(memory.kept) > before + 100)
            return sum(thread.name.startswith("hangs-") for thread in threading.enumerate())
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)

    try:
        assert asyncio.run(main()) == THREADS
    finally:
        hang.set()


def test_too_many_hanging_calls_are_refused() -> None:
    """Calls behind hanging threads are bounded: beyond that, asking raises OSError at once."""
    hang = threading.Event()
    threads = SourceThreads()
    token = OWNER.set("port")
    try:
        accepted: list[object] = []

        def ask_for_too_much() -> None:
            # the threads may take some from the queue meanwhile
            accepted.extend(threads.submit(hang.wait) for _ in range(THREADS + WAITING + 1))

        with pytest.raises(OSError, match="of port hang"):
            ask_for_too_much()
        assert len(accepted) >= WAITING
    finally:
        OWNER.reset(token)
        hang.set()
        threads.shutdown()


def test_account_is_bounded() -> None:
    """A source that speaks of ever new devices fills no memory: the one silent longest makes room."""
    account = Account("relay")
    for number in range(MOST_DEVICES + 10):
        account.heard(f"node-{number}", {"pm2_5": 1})
    account.heard("node-10", {"pm2_5": 2})
    account.trouble("silent", "node-new")
    assert len(account.devices) == MOST_DEVICES
    assert "node-10" in account.devices
    assert "node-9" not in account.devices


def test_threads_answer_and_pass_errors_on() -> None:
    """A call's result or error reaches who asked, and idle threads are used again."""

    def fails() -> None:
        raise ValueError("no")

    threads = SourceThreads()
    try:
        assert {threads.submit(threading.get_ident).result(60) for _ in range(20)}
        with pytest.raises(ValueError, match="no"):
            threads.submit(fails).result(60)
        assert threads.submit(lambda: 7).result(60) == 7
    finally:
        threads.shutdown()
