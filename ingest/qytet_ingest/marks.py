"""The `stored` marks: told to devices a few times a second, the newest per boot.

They travel at QoS 0: a lost mark costs a resend, never a reading, and the resend brings a new mark.
"""

from qytet_ingest.ledger import Boot

__all__ = ["Marks"]


class Marks:
    """Boots whose devices are to hear how far they are stored; bounded by the number of boots in memory."""

    def __init__(self) -> None:
        self._pending: dict[int, Boot] = {}

    def add(self, boots: list[Boot]) -> None:
        """These boots were committed, or asked again by resending."""
        for boot in boots:
            if boot.reply:
                self._pending[id(boot)] = boot

    def __len__(self) -> int:
        """How many are waiting."""
        return len(self._pending)

    def messages(self) -> list[tuple[bytes, bytes]]:
        """Topic and payload of each mark; empties the list."""
        boots, self._pending = self._pending, {}
        return [
            (boot.reply, b'{"v":1,"boot":"%s","seq":%d}' % (boot.boot.encode(), boot.mark()))
            for boot in boots.values()
        ]
