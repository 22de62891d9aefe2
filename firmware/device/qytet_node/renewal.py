"""The command `network`: the settings in force with another Wi-Fi, broker or time servers."""

import json

from qytet_node import config
from qytet_node.slots import SETTINGS

_MAY = ("wifi", "broker", "ntp")


def settings(etc, args):
    """The new settings; within `wifi` and `broker` what is not named stays. Raises ValueError with what is wrong."""
    with open(etc + "/" + SETTINGS) as file:
        found = json.load(file)
    before = json.dumps(found)
    for name, value in args.items():
        if name not in _MAY:
            raise ValueError("nobody may change " + name[:32] + " from afar")
        if name == "ntp":
            found[name] = value
        elif isinstance(value, dict):
            found[name].update(value)
        else:
            raise ValueError(name + " must be an object")
    if json.dumps(found) == before:
        raise ValueError("these settings are in force")
    try:
        config.checked(found)
    except config.ConfigError as error:
        raise ValueError(str(error))
    return found
