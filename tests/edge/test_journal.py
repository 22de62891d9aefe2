"""The gateway's events on their way into the spool: each once, whenever the gateway is stopped."""

import asyncio

from qytet_edge.journal import Journal
from qytet_edge.records import Notice
from tests.edge.memory_sink import MemorySink
from tests.edge.quick_time import quickly


class SlowDisk(MemorySink):
    """It keeps a message, and says so only when it is let."""

    boot = "0a1b2c3d"

    def __init__(self) -> None:
        super().__init__()
        self.said = asyncio.Event()

    def up_ms(self) -> int:
        return 1

    async def notify(self, notice: Notice) -> None:
        await super().notify(notice)
        await self.said.wait()


def test_an_event_that_is_being_kept_at_the_end_is_not_kept_twice() -> None:
    """A gateway that is stopped while the disk takes an event waits for that, and adds only what came after it."""

    async def scene() -> SlowDisk:
        disk = SlowDisk()
        journal = Journal("gateway-1", disk)
        working = asyncio.create_task(journal.run())
        journal.add("info", "rule dim", "on")
        await disk.until(lambda: len(disk.notices) == 1)
        journal.add("info", "rule dim", "off")
        working.cancel()
        await asyncio.sleep(0)
        disk.said.set()
        await asyncio.gather(working, return_exceptions=True)
        return disk

    texts = [notice.payload for notice in asyncio.run(scene()).notices]
    assert [b"rule dim: on" in text for text in texts] == [True, False]
    assert b"rule dim: off" in texts[1]


def test_a_disk_that_takes_nothing_does_not_hold_up_the_end() -> None:
    """An event that cannot be kept is given up when the gateway stops, and nothing is left at work."""

    async def scene() -> set[str]:
        disk = SlowDisk()
        journal = Journal("gateway-1", disk)
        working = asyncio.create_task(journal.run(), name="journal")
        journal.add("info", "rule dim", "on")
        await disk.until(lambda: len(disk.notices) == 1)
        working.cancel()
        await asyncio.wait({working})
        await asyncio.sleep(0)
        return {task.get_name() for task in asyncio.all_tasks() - {asyncio.current_task()}}

    assert quickly(scene()) == set()
