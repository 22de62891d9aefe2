"""The network: joins, says why it cannot, and opens the one stream to the broker, verified where TLS is asked for.

One call joins once; who calls again and after what pause is the uplink's affair. The driver is never given a second
`connect` while one is under way ("Wifi Internal Error"), and is switched off and on when joining fails often.
"""

import asyncio
import gc

JOIN_MS = 45000
"""Access points answer within seconds; a slow DHCP server may take half a minute."""
_LOOK_MS = 200
_RESTART_AFTER = 5
_TRIES = 2
"""Times that the driver tries again by itself; then its status says why."""
_WORDS = {
    15: "the password may be wrong",
    200: "the access point is out of reach",
    201: "no such network",
    202: "wrong password",
    203: "the access point refused",
    204: "the password may be wrong",
}
"""Values of `WLAN.status()`, ESP-IDF's reasons."""


class Wifi:
    """`station` is a `network.WLAN`; `wifi` has ssid and password, `broker` host, port and name (of its certificate).

    `tls` gives the `ssl.SSLContext`, or is None for a plain connection; it is called at the first stream, when the
    time is known.
    """

    def __init__(self, station, wifi, broker, tls=None):
        self._station, self._wifi, self._broker, self._tls = station, wifi, broker, tls
        self._joining = asyncio.Lock()
        self._context = None
        self.failures = 0
        self.joins = 0

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
            if self.is_up:
                return
            try:
                await self._join()
            except OSError:
                self.failures += 1
                if not self.failures % _RESTART_AFTER:
                    await self._restart()
                raise
            self.failures = 0
            self.joins += 1

    async def open(self):
        """Reader and writer to the broker. Raises OSError, also for a certificate not to be trusted."""
        gc.collect()  # a handshake wants large pieces of memory
        broker = self._broker
        if self._tls is None:
            return await asyncio.open_connection(broker["host"], broker["port"])
        if self._context is None:
            self._context = self._tls()
        name = broker.get("name") or broker["host"]
        return await asyncio.open_connection(
            broker["host"], broker["port"], ssl=self._context, server_hostname=name
        )

    async def _join(self):
        station = self._station
        station.active(True)
        _quietly(station.disconnect)  # ends an attempt of the driver's own
        station.config(reconnects=_TRIES)
        station.connect(self._wifi["ssid"], self._wifi["password"])
        left = JOIN_MS
        while not station.isconnected():
            status = station.status()
            if status < 1000 and status:
                raise OSError("no network: " + _WORDS.get(status, "reason " + str(status)))
            if left <= 0:
                _quietly(station.disconnect)
                raise OSError("no network: no address in time")
            await asyncio.sleep_ms(_LOOK_MS)
            left -= _LOOK_MS

    async def _restart(self):
        _quietly(self._station.disconnect)
        self._station.active(False)
        await asyncio.sleep_ms(500)
        self._station.active(True)


def trusting(folder):
    """A function that gives the context: it trusts `ca.der`, and shows `cert.der` with `key.der` if there.

    Raises OSError without a `ca.der`: verification is never left out.
    """

    def context():
        import ssl

        made = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        made.verify_mode = ssl.CERT_REQUIRED
        made.load_verify_locations(cadata=_read(folder + "/ca.der"))
        try:
            certificate, key = _read(folder + "/cert.der"), _read(folder + "/key.der")
        except OSError:
            return made  # the broker asks for a password instead
        made.load_cert_chain(certificate, key)
        return made

    return context


def _read(path):
    with open(path, "rb") as file:
        return file.read()


def _quietly(act):
    try:
        act()
    except OSError:
        pass  # there was nothing to end
