"""How the radio joins a network, and whom a stream may be opened to; needed at each connection only (`lent.py`).

The driver is never given a second `connect` while one is under way ("Wifi Internal Error").
"""

import asyncio
import gc

_RESTART_AFTER = 5
"""Failures in a row."""
_REJOIN_AFTER = 10
"""Attempts to get to the broker since it joined: a network that leads nowhere says `connected` for ever."""
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


async def up(link, station, wifi, join_ms, look_ms):
    """As `Wifi.up` says, which counts."""
    if station.isconnected():
        link.attempts += 1
        if link.attempts < _REJOIN_AFTER:
            return
        await restart(station)
    link.attempts = 0
    try:
        await join(station, wifi, join_ms, look_ms)
    except OSError:
        link.failures += 1
        if not link.failures % _RESTART_AFTER:
            await restart(station)
        raise
    link.failures = 0
    link.joins += 1


async def join(station, wifi, join_ms, look_ms):
    """Return when there is an address. Access points answer within seconds; a slow DHCP server may take half a minute.

    Raises OSError with the reason after one attempt.
    """
    station.active(True)
    _quietly(station.disconnect)  # ends an attempt of the driver's own
    station.config(reconnects=_TRIES)
    station.connect(wifi["ssid"], wifi["password"])
    left = join_ms
    while not station.isconnected():
        status = station.status()
        if status < 1000 and status:
            raise OSError("no network: " + _WORDS.get(status, "reason " + str(status)))
        if left <= 0:
            _quietly(station.disconnect)
            raise OSError("no network: no address in time")
        await asyncio.sleep_ms(look_ms)
        left -= look_ms


async def restart(station):
    """Switch the radio off and on."""
    _quietly(station.disconnect)
    station.active(False)
    await asyncio.sleep_ms(500)
    station.active(True)


async def opened(link, broker, trust):
    """As `Wifi.open` says, which keeps the context."""
    if trust is not None and link.context is None:
        link.context = trusting(trust)
    gc.collect()  # a handshake wants large pieces of memory
    host, port = broker["host"], broker["port"]
    if link.context is None:
        return await asyncio.open_connection(host, port)
    name = broker.get("name") or host
    return await asyncio.open_connection(host, port, ssl=link.context, server_hostname=name)


def trusting(folder):
    """The context of verified streams: it trusts `ca.der`, and shows `cert.der` with `key.der` if there.

    Raises OSError without a `ca.der`: verification is never left out.
    """
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


def _read(path):
    with open(path, "rb") as file:
        return file.read()


def _quietly(act):
    try:
        act()
    except OSError:
        pass  # there was nothing to end
