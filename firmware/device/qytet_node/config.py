"""What this node is and whom it talks to: `/etc/node.json`, read and checked; what is wrong is said in words.

    {"v": 1, "city": "tirana", "device": "node-1", "profile": "air", "board": "esp32-devkitc",
     "wifi": {"ssid": "…", "password": "…"},
     "broker": {"host": "…", "port": 8883, "tls": true, "user": "node-1", "password": "…", "name": "…"},
     "ntp": ["pool.ntp.org"], "keep_bytes": 1200000, "report_s": 60, "pins": {…}, "sensors": {…}}

`broker.name` is the name in its certificate, if that is not `host`. From `ntp` on everything may be left out: `pins`
replaces pins of the board, `sensors` options of the profile's sensors by their names (see `profile.py`).
"""

import json

from qytet_contract import topics

VERSION = 1
NTP = ("pool.ntp.org", "time.cloudflare.com")
KEEP_BYTES = 1200000
"""Of a 2 MB partition; beside it lie two slots of the program."""
_OPTIONAL = ("ntp", "keep_bytes", "report_s", "pins", "sensors", "outputs")
_NEEDED = ("v", "city", "device", "profile", "board", "wifi", "broker")


class ConfigError(Exception):
    """Settings that cannot be used; says which and why, never their value."""


def load(path):
    """The settings of a file, with defaults filled in. Raises ConfigError."""
    try:
        with open(path) as file:
            found = json.load(file)
    except OSError as error:
        raise ConfigError(path + " cannot be read: error " + str(error.errno))
    except ValueError:
        raise ConfigError(path + " is no JSON")
    return checked(found, path)


def checked(found, where="node.json"):
    """The settings with defaults filled in. Raises ConfigError."""
    _object(found, where)
    for name in _NEEDED:
        if name not in found:
            raise ConfigError(where + ": " + name + " is missing")
    for name in found:
        if name not in _NEEDED and name not in _OPTIONAL:
            raise ConfigError(where + ": nobody knows what " + str(name)[:32] + " is")
    if found["v"] != VERSION:
        raise ConfigError(where + ": version " + str(found["v"])[:8] + ", not " + str(VERSION))
    for name in ("city", "device", "profile", "board"):
        _slug(found[name], where + ": " + name)
    _wifi(found["wifi"], where + ": wifi")
    _broker(found["broker"], where + ": broker")
    whole = {
        "ntp": list(NTP),
        "keep_bytes": KEEP_BYTES,
        "report_s": None,
        "pins": {},
        "sensors": {},
        "outputs": {},
    }
    whole.update(found)
    _rest(whole, where)
    return whole


def _wifi(found, where):
    _object(found, where)
    _text(found.get("ssid"), where + ".ssid", 32)
    _text(found.get("password"), where + ".password", 64, empty=True)
    if 0 < len(found["password"]) < 8:
        raise ConfigError(where + ".password is shorter than WPA2 allows (8)")


def _broker(found, where):
    _object(found, where)
    _text(found.get("host"), where + ".host", 255)
    _whole(found.get("port"), where + ".port", 1, 65535)
    _text(found.get("user"), where + ".user", 64)
    _text(found.get("password"), where + ".password", 128, empty=True)
    if not isinstance(found.get("tls"), bool):
        raise ConfigError(where + ".tls must be true or false")
    if "name" in found:
        _text(found["name"], where + ".name", 255)


def _rest(whole, where):
    if not isinstance(whole["ntp"], list) or not whole["ntp"]:
        raise ConfigError(where + ": ntp must be a list of servers")
    for server in whole["ntp"]:
        _text(server, where + ": ntp", 255)
        _, colon, port = server.partition(":")
        if colon and not (port.isdigit() and 0 < int(port) < 65536):
            raise ConfigError(where + ": ntp has servers as host or host:port")
    _whole(whole["keep_bytes"], where + ": keep_bytes", 32768, 16000000)
    if whole["report_s"] is not None:
        _whole(whole["report_s"], where + ": report_s", 1, 86400)
    for name in ("pins", "sensors", "outputs"):
        _object(whole[name], where + ": " + name)


def _object(value, where):
    if not isinstance(value, dict):
        raise ConfigError(where + " must be an object")


def _slug(value, where):
    if not isinstance(value, str) or not topics.is_slug(value):
        raise ConfigError(where + " must be made of a-z, 0-9, - and _, 64 at most")


def _text(value, where, most, empty=False):
    if not isinstance(value, str) or not (value or empty):
        raise ConfigError(where + " must be a text")
    if len(value) > most:
        raise ConfigError(where + " is longer than " + str(most))


def _whole(value, where, lowest, highest):
    if isinstance(value, bool) or not isinstance(value, int) or not lowest <= value <= highest:
        raise ConfigError(where + " must be a whole number from " + str(lowest) + " to " + str(highest))
