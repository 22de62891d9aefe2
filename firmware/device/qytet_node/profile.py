"""What a node of a kind measures, and where it is soldered: profiles and boards are data, checked here.

    profile   {"v": 1, "report_s": 60, "sensors": [row, …], "outputs": [row, …]}
    sensor    name, driver, bus, every_s, keys {key: rule of aggregate}; and of these: options {…} of the driver,
              channel (is added to its keys), duty (it rests between readings), powered (it warms up once after
              power-on), at_once (keys whose change is reported at once)
    output    name, kind "pwm", "analog" or "relay", pin; key (its level), invert, hz
    board     {"v": 1, "chip": "esp32", "pins": {name: number}, "i2c": {name: {scl, sda, hz}}, "uart": {name: {tx, rx}}}

A bus is `i2c0`, `uart1`, `pin:NAME`, `wire:NAME` (1-Wire), or `adc:i2c0:ADDRESS:INPUT[+INPUT]` (inputs of an ADS1115).
"""

import json

from qytet_contract import topics

KINDS = ("mean", "last", "sum", "min", "max", "counter", "circular", "weighted")
"""Rules of `aggregate`, which is not needed to look at a profile."""

OUTPUTS = ("pwm", "analog", "relay")
_SENSOR = ("name", "driver", "bus", "every_s", "keys")
_SENSOR_MORE = ("options", "channel", "duty", "powered", "at_once")


class ProfileError(Exception):
    """A profile or a board that cannot be used; says where and why."""


def load(folder, settings):
    """Profile and board that the settings name, with what the settings change of them. Raises ProfileError."""
    found = _read(folder + "/profiles/" + settings["profile"] + ".json")
    board = _read(folder + "/boards/" + settings["board"] + ".json")
    for name, options in settings["sensors"].items():
        _changed(found["sensors"], name, options)
    board["pins"].update(settings["pins"])
    if settings["report_s"] is not None:
        found["report_s"] = settings["report_s"]
    check(found)
    check_board(board)
    return found, board


def check(profile):
    """Refuse a profile that cannot work. Raises ProfileError."""
    if profile.get("v") != 1 or not isinstance(profile.get("report_s"), int) or profile["report_s"] < 1:
        raise ProfileError("a profile has v 1 and report_s, whole seconds")
    seen = set()
    for row in profile["sensors"]:
        _check_sensor(row)
        if row["name"] in seen:
            raise ProfileError("two sensors are called " + row["name"])
        seen.add(row["name"])
    for row in profile.get("outputs", ()):
        if row.get("kind") not in OUTPUTS or not topics.is_slug(row.get("name", "")) or "pin" not in row:
            raise ProfileError("an output has name, pin, and a kind of " + ", ".join(OUTPUTS))
    every = keys(profile)
    if len(every) != len(set(every)):
        raise ProfileError("two sensors give the same key")


def check_board(board):
    """Refuse a board whose pins are no numbers. Raises ProfileError."""
    for name, number in board["pins"].items():
        if isinstance(number, bool) or not isinstance(number, int) or not 0 <= number <= 48:
            raise ProfileError("pin " + name + " is no number of a pin")
    for name in ("i2c", "uart"):
        if not isinstance(board.get(name), dict):
            raise ProfileError("a board has " + name)


def keys(profile):
    """Every key that sensors and outputs give, in the order of the profile."""
    found = [key for row in profile["sensors"] for key in row["keys"]]
    return found + [row["key"] for row in profile.get("outputs", ()) if "key" in row]


def streams(folder, every):
    """Rows of key and unit for a birth, as JSON. Raises ProfileError for a key that the catalogue does not have.

    The catalogue is read by lines: as a table it would take a fifth of the memory.
    """
    wanted = {key.partition(":")[0] for key in every}
    units = {}
    with open(folder + "/profiles/units.txt") as file:
        for line in file:
            name, _, unit = line.strip().partition(" ")
            if name in wanted:
                units[name] = unit
    for key in every:
        if key.partition(":")[0] not in units:
            raise ProfileError("the catalogue has no " + key)
    return "[" + ",".join('["%s","%s"]' % (key, units[key.partition(":")[0]]) for key in every) + "]"


def _check_sensor(row):
    name = str(row.get("name"))
    for field in _SENSOR:
        if field not in row:
            raise ProfileError("sensor " + name + ": " + field + " is missing")
    for field in row:
        if field not in _SENSOR and field not in _SENSOR_MORE:
            raise ProfileError("sensor " + name + ": nobody knows what " + field + " is")
    if not topics.is_slug(name):
        raise ProfileError("sensor " + name + ": a name is made of a-z, 0-9, - and _")
    if not row["every_s"] > 0:
        raise ProfileError("sensor " + name + ": every_s must be above 0")
    for rule in row["keys"].values():
        kind, _, other = rule.partition(" ")
        if kind not in KINDS or (kind == "weighted") != bool(other) or (other and other not in row["keys"]):
            raise ProfileError("sensor " + name + ": no such rule: " + rule)
    for key in row.get("at_once", ()):
        if key not in row["keys"]:
            raise ProfileError("sensor " + name + ": at_once names " + key)


def _changed(rows, name, change):
    """Change a sensor: None takes it out; an object replaces fields, `options` one by one."""
    for row in rows:
        if row["name"] == name:
            if change is None:
                rows.remove(row)
                return
            options = dict(row.get("options", {}))
            options.update(change.get("options", {}))
            row.update(change)
            row["options"] = options
            return
    raise ProfileError("the profile has no sensor " + str(name))


def _read(path):
    try:
        with open(path) as file:
            return json.load(file)
    except OSError as error:
        raise ProfileError(path + " cannot be read: error " + str(error.errno))
    except ValueError:
        raise ProfileError(path + " is no JSON")
