"""A port that several sensors hang on, one after the other."""


class Shared:
    """A driver that shares its port with others: meters on one line, lanes of one radar."""

    def __init__(self, driver, lock):
        self._driver, self._lock = driver, lock
        self.PROPERTIES = driver.PROPERTIES
        self.WARM_UP_MS, self.MIN_INTERVAL_MS = driver.WARM_UP_MS, driver.MIN_INTERVAL_MS

    async def start(self):
        """As the driver, when it is its turn."""
        async with self._lock:
            await self._driver.start()

    async def read(self):
        """As the driver, when it is its turn."""
        async with self._lock:
            return await self._driver.read()

    async def stop(self):
        """As the driver, when it is its turn."""
        async with self._lock:
            await self._driver.stop()
