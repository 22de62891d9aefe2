"""A motion sensor with a switched output (HC-SR501 and its like): how often something moved.

HC-SR501 data sheet: it may trigger up to three times in its first minute, its output stays active for its own delay.
"""

from qytet_node.drivers.keys import keyed


class Pir:
    """`edges` with `active=1`; its `flag` wakes the rule that lights the lamp."""

    PROPERTIES = ("motion_count",)
    WARM_UP_MS = 60000
    MIN_INTERVAL_MS = 1000

    def __init__(self, edges, channel=""):
        self._edges, self._before, self._settling = edges, 0, False
        self._key = keyed("motion_count", channel)

    @property
    def moving(self):
        """Whether something moves now."""
        self._edges.look()
        return self._edges.state

    async def start(self):
        """Begin to count."""
        self._edges.listen()
        self._before, self._settling = self._edges.look(), True

    async def read(self):
        """Motions since the last reading; the first one after a start tells none, as they may be made up."""
        motions = self._edges.since(self._before)
        self._before += motions
        if self._settling:
            motions, self._settling = 0, False
        return {self._key: motions}

    async def stop(self):
        """End."""
        self._edges.deaf()
