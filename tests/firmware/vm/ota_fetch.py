"""For a slot, in the place of `fetch`: gives what the world has under an address, as far as the line holds."""

import asyncio

import world


class Source:
    def __init__(self, url, etc, context):
        self._data, self._at = memoryview(world.bundles[url]), 0

    async def fill(self, view):
        await asyncio.sleep_ms(0)
        if self._at + len(view) > len(self._data):
            raise OSError("the line broke")
        view[:] = self._data[self._at : self._at + len(view)]
        self._at += len(view)

    async def close(self):
        pass
