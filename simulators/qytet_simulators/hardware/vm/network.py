"""`network.WLAN` as on an ESP32, station side; the access point is the bench's."""

import struct

import _bench
from _bench import ask

STA_IF, AP_IF = 0, 1
STAT_IDLE, STAT_CONNECTING, STAT_GOT_IP = 1000, 1001, 1010
STAT_BEACON_TIMEOUT, STAT_NO_AP_FOUND, STAT_WRONG_PASSWORD = 200, 201, 202
STAT_ASSOC_FAIL, STAT_HANDSHAKE_TIMEOUT = 203, 204
AUTH_OPEN, AUTH_WEP, AUTH_WPA_PSK, AUTH_WPA2_PSK, AUTH_WPA_WPA2_PSK, AUTH_WPA3_PSK = 0, 1, 2, 3, 4, 6
MODE_11B, MODE_11G, MODE_11N = 1, 2, 4
_ACTIVE, _CONNECT, _DISCONNECT, _STATUS, _RSSI, _ADDRESS, _RECONNECTS, _SCAN = range(8)
_hostname = "mpy-esp32"
_country = "XX"
_ERRORS = {1: "Wifi Not Started", 2: "Wifi Internal Error", 3: "Wifi Not Connected"}


def hostname(name=None):
    """The name given to DHCP."""
    global _hostname
    if name is None:
        return _hostname
    _hostname = name


def country(code=None):
    """Two letters."""
    global _country
    if code is None:
        return _country
    _country = code


def _wifi(what, number=0, data=b"", want=False):
    said = ask(_bench.WIFI, what, number, data=data, want=want)
    if not want and said >= 2000:
        raise OSError(_ERRORS[said - 2000])
    return said


class WLAN:
    """The station."""

    IF_STA, IF_AP = STA_IF, AP_IF
    PM_NONE, PM_PERFORMANCE, PM_POWERSAVE = 0, 1, 2
    SEC_OPEN, SEC_WPA2, SEC_WPA3 = AUTH_OPEN, AUTH_WPA2_PSK, AUTH_WPA3_PSK
    _settings = {"txpower": 20, "pm": 1, "channel": 6, "protocol": 7}

    def __init__(self, interface=STA_IF):
        if interface not in (STA_IF, AP_IF):
            raise ValueError("invalid WLAN interface identifier")
        self._station = interface == STA_IF

    def active(self, wanted=None):
        """Whether its radio is on, or switch it."""
        if not self._station:
            return False
        return bool(_wifi(_ACTIVE, -1 if wanted is None else (1 if wanted else 0)))

    def connect(self, ssid=None, key=None, *, bssid=None):
        """Begin to join; goes on trying until `disconnect`, or as often as `config(reconnects=)` says."""
        name, secret = _bytes(ssid), _bytes(key)
        _wifi(_CONNECT, data=struct.pack("<BB", len(name), len(secret)) + name + secret)

    def disconnect(self):
        """Leave."""
        _wifi(_DISCONNECT)

    def isconnected(self):
        """Whether there is an address."""
        return self._station and _wifi(_STATUS) == STAT_GOT_IP

    def status(self, what=None):
        """How far it is, or why it failed; or `rssi` in dBm."""
        if what is None:
            return _wifi(_STATUS)
        if what != "rssi":
            raise ValueError("unknown status param")
        return -1 * _wifi(_RSSI)

    def scan(self):
        """Networks: (ssid, bssid, channel, RSSI, security, hidden)."""
        said, found = _wifi(_SCAN, want=True), []
        while said:
            size, channel, rssi, security = struct.unpack_from("<BBbB", said)
            found.append((said[10 : 10 + size], said[4:10], channel, rssi, security, False))
            said = said[10 + size :]
        return found

    def ifconfig(self, settings=None):
        """Address, mask, gateway, name server."""
        parts = _wifi(_ADDRESS, want=True).decode().split(",")
        return tuple(parts)

    def ipconfig(self, name):
        """`addr4` as (address, mask), `gw4`, `has_dhcp4`, `dhcp4`."""
        address, mask, gateway, _ = self.ifconfig()
        found = {"addr4": (address, mask), "gw4": gateway, "has_dhcp4": address != "0.0.0.0", "dhcp4": True}
        return found[name]

    def config(self, name=None, **settings):
        """Ask for one setting, or set some."""
        for key, value in settings.items():
            if key == "reconnects":
                _wifi(_RECONNECTS, value)
            elif key in ("dhcp_hostname", "hostname"):
                hostname(value)
            elif key in self._settings:
                self._settings[key] = value
            else:
                raise ValueError("unknown config param")
        if settings:
            return None
        if name == "mac":
            return _bench.identity
        if name in ("ssid", "essid"):
            return _wifi(_STATUS, 1, want=True).decode()
        if name in ("dhcp_hostname", "hostname"):
            return _hostname
        if name == "reconnects":
            return _wifi(_RECONNECTS, -2)
        if name not in self._settings:
            raise ValueError("unknown config param")
        return self._settings[name]


def _bytes(text):
    if text is None:
        return b""
    return text.encode() if isinstance(text, str) else bytes(text)
