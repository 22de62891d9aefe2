"""The rules at work: outputs are moved, each firing is an event, and no disk or output holds up another."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager
from typing import Any

import msgspec
import pytest

from qytet.errors import SettingsError
from qytet_contract import notices
from qytet_edge.clock import Clock, ClockConfig
from qytet_edge.journal import Journal
from qytet_edge.ports import Output
from qytet_edge.records import Reading
from qytet_edge.rules import RuleConfig, Rules
from tests.edge.memory_sink import MemorySink
from tests.edge.quick_time import QuickLoop, quickly

GATEWAY, PIR = "gateway-1", "pir-1"


class Lamp:
    """An output that remembers what it was set to, and can be broken or hang."""

    def __init__(self, name: str = "lamp") -> None:
        self.name = name
        self.values: list[float] = []
        self.error: Exception | None = None
        self.hangs = asyncio.Event()
        self.hangs.set()
        self._moved = asyncio.Condition()
        self.tries = 0

    async def set(self, value: float) -> None:
        self.tries += 1
        await self.hangs.wait()
        async with self._moved:
            self._moved.notify_all()
            if self.error is not None:
                raise self.error
            self.values.append(value)

    async def until(self, holds: Callable[[], bool]) -> None:
        async with asyncio.timeout(10), self._moved:
            await self._moved.wait_for(holds)


class Spool(MemorySink):
    """A sink with the numbering that events ask for."""

    boot = "0a1b2c3d"

    def up_ms(self) -> int:
        return 123_456

    def messages(self) -> list[str]:
        return [msgspec.json.decode(notice.payload)["msg"] for notice in self.notices]


class Site:
    """Rules on outputs, with a spool in memory."""

    def __init__(
        self, rules: Sequence[RuleConfig], outputs: Sequence[Output], clock: Clock | None = None, **more: Any
    ) -> None:
        self.clock = clock or Clock(ClockConfig(trust="host"))
        self.spool = Spool()
        self.journal = Journal(GATEWAY, self.spool)
        self.more = more
        self.outputs = {one.name: one for one in outputs}
        self.configs = rules
        self.rules = self.made()

    def made(self) -> Rules:
        return Rules(
            self.configs,
            self.outputs,
            device=GATEWAY,
            clock=self.clock,
            journal=self.journal,
            **self.more,
        )

    def say(self, value: float | None, key: str = "motion_count") -> None:
        self.rules.accepted([Reading(PIR, {key: value})])

    @asynccontextmanager
    async def at_work(self) -> AsyncIterator[None]:
        await self.clock.look()
        tasks = [asyncio.create_task(self.rules.run(self.spool)), asyncio.create_task(self.journal.run())]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            for end in await asyncio.gather(*tasks, return_exceptions=True):
                assert isinstance(end, asyncio.CancelledError), end


def rule(**fields: Any) -> RuleConfig:
    table = {
        "name": "dim",
        "when": [{"device": PIR, "key": "motion_count", "below": 1}],
        "then": {"output": "lamp", "value": 30},
        "else": 100,
        "fail_safe": 80,
        "min_on_s": 0,
        "min_off_s": 0,
    }
    return RuleConfig.model_validate(table | fields)


def play(scene: Callable[[], Coroutine[Any, Any, None]]) -> None:
    quickly(scene())


def test_a_reading_moves_the_lamp_with_no_city_in_reach() -> None:
    """From an accepted reading to the output there is no broker, no network and no disk."""

    async def scene() -> None:
        lamp = Lamp()
        site = Site([rule()], [lamp])
        site.spool.room.clear()  # not even the disk takes anything
        async with site.at_work():
            await lamp.until(lambda: lamp.values == [80])
            site.say(0)
            await lamp.until(lambda: lamp.values == [80, 30])
            site.say(3)
            await lamp.until(lambda: lamp.values == [80, 30, 100])
            site.spool.room.set()
            await site.spool.until(lambda: len(site.spool.notices) == 3)

    play(scene)


def test_each_firing_is_an_event_and_a_record() -> None:
    """A firing becomes a `log` message that keeps to the contract, and the new value a record of the gateway."""

    async def scene() -> None:
        lamp = Lamp()
        site = Site([rule()], [lamp], reports={"lamp": "lamp_dimming_level:north"})
        async with site.at_work():
            await lamp.until(lambda: lamp.values == [80])
            site.say(0)
            await site.spool.until(lambda: len(site.spool.readings) == 2 and len(site.spool.notices) == 2)
        for notice in site.spool.notices:
            payload = msgspec.json.decode(notice.payload)
            notices.check_log(payload)
            assert (notice.device, notice.kind, payload["boot"], payload["up"]) == (
                GATEWAY,
                "log",
                "0a1b2c3d",
                123_456,
            )
        assert site.spool.messages()[1] == (
            "rule dim: on, lamp = 30, because pir-1 motion_count = 0 (below 1)"
        )
        assert [one.values for one in site.spool.readings] == [
            {"lamp_dimming_level:north": 80},
            {"lamp_dimming_level:north": 30},
        ]
        assert all(one.device == GATEWAY and one.t_ms and one.tq == "host" for one in site.spool.readings)
        assert site.rules.streams == {GATEWAY: ("lamp_dimming_level:north",)}
        assert [event["level"] for event in site.journal.recent()] == ["info", "warning"]
        state = site.rules.state()
        assert state["rules"][0]["position"] == "on"
        assert state["outputs"] == [{"name": "lamp", "wanted": 30, "is": 30, "error": None}]

    play(scene)


def test_time_alone_moves_an_output() -> None:
    """When a reading grows stale, or has held long enough, the output moves without any new reading."""

    async def scene() -> None:
        lamp, loop = Lamp(), asyncio.get_running_loop()
        assert isinstance(loop, QuickLoop)
        condition = {"device": PIR, "key": "motion_count", "below": 1, "for_s": 2, "stale_s": 5}
        site = Site([rule(when=[condition])], [lamp], Clock(ClockConfig(trust="host"), boottime=loop.time_ns))
        async with site.at_work():
            await lamp.until(lambda: lamp.values == [80])
            site.say(0)
            said = loop.time()
            await lamp.until(lambda: lamp.values == [80, 100])
            assert loop.time() == pytest.approx(said, abs=0.1)
            await lamp.until(lambda: lamp.values == [80, 100, 30])
            assert loop.time() == pytest.approx(said + 2, abs=0.1)
            await lamp.until(lambda: lamp.values == [80, 100, 30, 80])
            assert loop.time() == pytest.approx(said + 5, abs=0.1)

    play(scene)


def test_an_output_that_fails_is_tried_again_and_told_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """A broken valve is an event, is tried until it moves, and its recovery is an event, too."""
    monkeypatch.setattr("qytet_edge.rules.run._RETRY_S", (0.01, 0.02))

    async def scene() -> None:
        lamp = Lamp()
        lamp.error = OSError("no answer from unit 7")
        site = Site([rule()], [lamp])
        async with site.at_work():
            await lamp.until(lambda: lamp.tries >= 5)
            assert site.rules.state()["outputs"][0]["error"] == "no answer from unit 7"
            lamp.error = None
            await lamp.until(lambda: lamp.values == [80])
            await site.spool.until(lambda: len(site.spool.notices) == 3)
        assert site.spool.messages()[1:] == [
            "output lamp: cannot be set to 80: no answer from unit 7",
            "output lamp: it can be moved again",
        ]

    play(scene)


@pytest.mark.parametrize("fault", ["hangs", "bug"])
def test_one_output_cannot_hold_up_another(fault: str) -> None:
    """While one output hangs, or its plug-in has a bug, the others move."""

    async def scene() -> None:
        bad, good = Lamp("valve"), Lamp()
        if fault == "hangs":
            bad.hangs.clear()
        else:
            bad.error = ZeroDivisionError("a bug")
        site = Site([rule(name="close", then={"output": "valve", "value": 1}), rule()], [bad, good])
        async with site.at_work():
            await good.until(lambda: good.values == [80])
            site.say(0)
            await good.until(lambda: good.values == [80, 30])
            assert bad.tries >= 1
            assert bad.values == []

    play(scene)


def test_an_output_that_hangs_is_given_up_and_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """A movement has a time limit; after it the output is tried again."""
    monkeypatch.setattr("qytet_edge.rules.run._SET_S", 0.05)
    monkeypatch.setattr("qytet_edge.rules.run._RETRY_S", (0.01, 0.02))

    async def scene() -> None:
        lamp = Lamp()
        lamp.hangs.clear()
        site = Site([rule()], [lamp])
        async with site.at_work():
            await site.spool.until(lambda: len(site.spool.notices) == 2)
            assert site.spool.messages()[1] == "output lamp: cannot be set to 80: no answer in time"
            lamp.hangs.set()
            await lamp.until(lambda: lamp.values == [80])

    play(scene)


def test_an_output_is_driven_again_now_and_then(monkeypatch: pytest.MonkeyPatch) -> None:
    """A module that lost its power comes back with its default: it is told again, and that is no new record."""
    monkeypatch.setattr("qytet_edge.rules.run._REFRESH_S", 0.02)

    async def scene() -> None:
        lamp = Lamp()
        site = Site([rule()], [lamp], reports={"lamp": "lamp_dimming_level"})
        async with site.at_work():
            await lamp.until(lambda: len(lamp.values) >= 4)
        assert set(lamp.values) == {80}
        assert len(site.spool.readings) == 1

    play(scene)


def test_a_restart_drives_the_outputs_to_where_they_were() -> None:
    """Where the rules stood is kept as a checkpoint; after a restart nothing fires and the lamp is set again."""

    async def scene() -> None:
        lamp = Lamp()
        site = Site([rule()], [lamp])
        async with site.at_work():
            await lamp.until(lambda: lamp.values == [80])
            site.say(0)
            await lamp.until(lambda: lamp.values == [80, 30])
            await site.spool.until(lambda: len(site.spool.notices) == 2)
            site.say(1)
            site.say(0)
            await site.spool.until(lambda: len(site.spool.notices) == 4)
            puts = site.spool.puts
            site.say(1)
            await site.spool.until(lambda: site.spool.puts > puts and len(site.spool.notices) == 5)
        lamp.values.clear()
        site.rules = site.made()
        site.rules.accepted([Reading(PIR, {"motion_count": 2})])  # before what was kept is read back
        async with site.at_work():
            await lamp.until(lambda: lamp.values == [100])
        assert len(site.spool.notices) == 5

    play(scene)


def test_a_kept_state_that_cannot_be_read_is_told_and_begun_anew() -> None:
    """Garbage in the checkpoint stops no rule."""

    async def scene() -> None:
        lamp = Lamp()
        site = Site([rule()], [lamp])
        site.spool.checkpoints["rules"] = b'{"rules":{"dim":3}}'
        async with site.at_work():
            await lamp.until(lambda: lamp.values == [80])
            await site.spool.until(lambda: len(site.spool.notices) == 2)
        assert "cannot be read" in site.spool.messages()[0]

    play(scene)


def test_a_rule_for_an_output_that_is_not_there_is_refused() -> None:
    """The mistake is named before anything runs, with the outputs that exist."""
    with pytest.raises(SettingsError, match="does not exist") as told:
        Site([rule(then={"output": "beacon", "value": 1})], [Lamp()])
    assert "lamp" in told.value.why
    with pytest.raises(SettingsError, match="catalogue"):
        Site([rule()], [Lamp()], reports={"lamp": "brightness"})


def test_a_subject_that_will_not_stop_talking_is_counted() -> None:
    """A chattering rule cannot fill the spool with events: what is not told is counted, and told as a number."""
    now = [0.0]
    journal = Journal(GATEWAY, Spool(), now=lambda: now[0])
    for _ in range(1000):
        journal.add("info", "rule dim", "on")
    journal.add("info", "rule other", "on")
    assert journal.unsaid == 940
    assert journal.recent()[0]["event"] == "rule other: on"
    now[0] += 10
    journal.add("info", "rule dim", "off")
    assert journal.recent()[0]["event"] == "rule dim: off (and 940 events that were not told)"


def test_the_last_events_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """What happens while the gateway stops is told as well; a disk that takes nothing does not hold up its end."""
    monkeypatch.setattr("qytet_edge.journal._LAST_WORDS_S", 0.1)

    async def scene() -> None:
        spool = Spool()
        for room in (True, False):
            journal = Journal(GATEWAY, spool)
            task = asyncio.create_task(journal.run())
            await asyncio.sleep(0)
            journal.add("warning", "output lamp", f"cannot close ({room})")
            if not room:
                spool.room.clear()
            task.cancel()
            await asyncio.wait_for(asyncio.gather(task, return_exceptions=True), 10)
        assert spool.messages() == ["output lamp: cannot close (True)"]

    play(scene)


def test_an_event_longer_than_the_contract_allows_is_cut() -> None:
    """A long sentence becomes a message that the city still takes."""

    async def scene() -> None:
        spool = Spool()
        journal = Journal(GATEWAY, spool)
        task = asyncio.create_task(journal.run())
        journal.add("warning", "rule dim", "x" * 500)
        await spool.until(lambda: bool(spool.notices))
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        notices.check_log(msgspec.json.decode(spool.notices[0].payload))

    play(scene)
