"""What comes at the very moment in which the gateway stops: it is kept, and it keeps nobody at work."""

import asyncio
from pathlib import Path

import pytest

from tests.edge.quick_time import quickly
from tests.edge.test_rules import Lamp, play, rule
from tests.edge.test_rules import Site as Rules
from tests.edge.test_update_remote import Process
from tests.edge.update_site import Site


def test_what_moved_just_before_the_stop_is_kept() -> None:
    """A firing whose write waits when the gateway stops is kept with its record: the next start tells neither anew."""

    async def scene() -> None:
        lamp = Lamp()
        site = Rules([rule()], [lamp], reports={"lamp": "lamp_dimming_level"})
        async with site.at_work():
            await site.spool.until(lambda: len(site.spool.readings) == 1)
            site.spool.room.clear()
            site.say(0)
            await lamp.until(lambda: lamp.values == [80, 30])
            await site.spool.until(lambda: site.spool.waiting > 0)
            asyncio.get_running_loop().call_later(1, site.spool.room.set)
        assert [one.values for one in site.spool.readings] == [
            {"lamp_dimming_level": 80},
            {"lamp_dimming_level": 30},
        ]
        told = len(site.spool.notices)
        site.rules = site.made()
        async with site.at_work():
            await lamp.until(lambda: lamp.values == [80, 30, 30])
        assert len(site.spool.notices) == told

    play(scene)


@pytest.mark.parametrize("later", range(6))
def test_a_reading_at_the_moment_of_the_stop_does_not_outlive_it(later: int) -> None:
    """However close before the stop a reading wakes rules and output, they end when they are told to, once."""

    async def scene() -> None:
        lamp = Lamp()
        site = Rules([rule()], [lamp])
        running = asyncio.create_task(site.rules.run(site.spool))
        await lamp.until(lambda: lamp.values == [80])
        await asyncio.sleep(1)
        site.say(0)
        for _ in range(later):
            await asyncio.sleep(0)
        assert await _ends_when_told_once(running)

    play(scene)


@pytest.mark.parametrize("later", range(6))
def test_a_command_at_the_moment_of_the_stop_does_not_outlive_it(tmp_path: Path, later: int) -> None:
    """However close before the stop a command wakes them, the updates end when they are told to, once."""

    site = Site(tmp_path)

    async def life() -> bool:
        process = Process(site)
        process.updates._poll_s = 60
        site.layout.trial.mkdir()  # so that it looks now and then
        task = asyncio.create_task(process.updates.run())
        await asyncio.sleep(1)
        process.updates._wake.set()
        for _ in range(later):
            await asyncio.sleep(0)
        return await _ends_when_told_once(task)

    assert quickly(life())


async def _ends_when_told_once(task: "asyncio.Task[None]") -> bool:
    task.cancel()
    await asyncio.wait({task}, timeout=1)
    ended = task.done()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    return ended
