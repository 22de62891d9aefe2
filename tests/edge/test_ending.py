"""Tasks end when they are told to, also those that lose a cancellation."""

import asyncio

from qytet_edge.ending import ended


def test_a_swallowed_cancellation_is_repeated() -> None:
    """A task that loses its first cancellation, as `wait_for` may, ends all the same; its neighbour with it."""

    async def deaf(hears: list[int]) -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            hears.append(1)
        await asyncio.Event().wait()

    async def work() -> tuple[list[int], list[bool]]:
        hears: list[int] = []
        tasks = [asyncio.create_task(deaf(hears)), asyncio.create_task(asyncio.Event().wait())]
        await asyncio.sleep(0)
        await ended(*tasks)
        return hears, [task.cancelled() for task in tasks]

    assert asyncio.run(asyncio.wait_for(work(), 90)) == ([1], [True, True])


def test_what_a_task_raised_stays_with_it() -> None:
    """An error at the end is neither raised here nor lost."""

    async def fails() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            raise OSError("the port")

    async def work() -> str:
        task = asyncio.create_task(fails())
        await asyncio.sleep(0)
        await ended(task)
        return str(task.exception())

    assert asyncio.run(work()) == "the port"
