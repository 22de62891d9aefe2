"""A contact: a door, a pump's relay, a float."""

from qytet_node.drivers.keys import keyed


class Contact:
    """1 while the contact of `edges` is active.

    With `latch` a reading is also 1 if it was active at any time since the last one: a door that was opened and closed
    in between was open.
    """

    WARM_UP_MS = 0
    MIN_INTERVAL_MS = 100

    def __init__(self, edges, name, latch=False, channel=""):
        self._edges, self._latch, self._before = edges, latch, 0
        self._key = keyed(name, channel)
        self.PROPERTIES = (name,)

    async def start(self):
        """Begin to listen."""
        self._edges.listen()
        self._before = self._edges.look()

    async def read(self):
        """1 or 0."""
        often = self._edges.since(self._before)
        self._before += often
        return {self._key: int(self._edges.state or (self._latch and often > 0))}

    async def stop(self):
        """End."""
        self._edges.deaf()
