"""The network: joins, says why it cannot, and opens the one stream to the broker, verified where TLS is asked for.

One call joins once; who calls again and after what pause is the uplink's affair. The driver is never given a second
`connect` while one is under way ("Wifi Internal Error"), and is switched off and on when joining fails often, or when
it says that there is a network and no stream comes of it (`joining.py`).
"""

import asyncio

from qytet_node.lent import lent


class Wifi:
    """`station` is a `network.WLAN`; `wifi` has ssid and password, `broker` host, port and name (of its certificate).

    `trust` is the folder of certificates (`joining.trusting`), or None for a plain connection; it is looked into at the
    first stream, when the time is known. `join_ms`, `look_ms`: how long joining may take, how often to look.
    """

    def __init__(self, station, wifi, broker, trust=None, join_ms=45000, look_ms=200):
        self._station, self._wifi, self._broker, self._trust = station, wifi, broker, trust
        self._patience = (join_ms, look_ms)
        self._joining = asyncio.Lock()
        self.context = None
        self.failures = self.joins = self.attempts = 0

    @property
    def is_up(self):
        """Whether there is an address."""
        return self._station.isconnected()

    @property
    def rssi(self):
        """Strength of the signal in dBm; None without a network."""
        try:
            return self._station.status("rssi") if self.is_up else None
        except OSError:
            return None

    async def up(self):
        """Return when there is an address. Raises OSError with the reason after one attempt."""
        async with self._joining:
            await lent("joining").up(self, self._station, self._wifi, *self._patience)

    def open(self):
        """To be awaited: reader and writer to the broker. Raises OSError, also for a certificate not to be trusted."""
        return lent("joining").opened(self, self._broker, self._trust)
