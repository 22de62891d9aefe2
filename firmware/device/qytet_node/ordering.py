"""What lamps and relays are ordered to do, and how that is kept on flash; in memory for that moment (`lent.py`).

`outputs` is `outputs.Outputs`: `every` maps names to outputs, `path` is the file.
"""

import json
import os

from qytet_node.outputs import OutputError
from qytet_node.schedule import Schedule


def set_level(outputs, name, level):
    """As `Outputs.set` says."""
    output = _named(outputs, name)
    if isinstance(level, bool) or not isinstance(level, (int, float)) or not 0 <= level <= 100:
        raise OutputError("value must be a number from 0 to 100")
    if output.schedule is None:
        _keep(outputs, output, "fixed", level)
    else:
        now_s = outputs.now_s()
        output.override = (None if now_s is None else output.schedule.at(now_s)[0], level)
    outputs.look()


def follow(outputs, name, given):
    """As `Outputs.follow` says."""
    output = _named(outputs, name)
    try:
        plan = None if given is None else Schedule(given)
    except ValueError as error:
        raise OutputError(str(error))
    _keep(outputs, output, "schedule", plan)
    output.override = None
    outputs.look()


def _named(outputs, name):
    if name not in outputs.every:
        raise OutputError("no output is called " + str(name)[:32])
    return outputs.every[name]


def load(outputs):
    """Take over what was ordered; what cannot be read is `damaged`."""
    try:
        with open(outputs.path) as file:
            kept = json.load(file)
        for name, found in kept.items():
            if name in outputs.every:
                outputs.every[name].fixed = found["level"]
                if found["schedule"] is not None:
                    outputs.every[name].schedule = Schedule(found["schedule"])
    except OSError:
        pass  # nothing was ever ordered
    except (ValueError, KeyError, TypeError, AttributeError):
        outputs.damaged = True


def _keep(outputs, output, name, value):
    """In force and on flash, or neither: what is refused must not be followed until the next restart."""
    before = getattr(output, name)
    setattr(output, name, value)
    try:
        _save(outputs)
    except OSError as error:
        setattr(output, name, before)
        raise OutputError("the flash does not keep it: error " + str(error.errno))


def _save(outputs):
    kept = {
        name: {"level": one.fixed, "schedule": None if one.schedule is None else one.schedule.given}
        for name, one in outputs.every.items()
    }
    with open(outputs.path + ".new", "w") as file:
        json.dump(kept, file)
    os.rename(outputs.path + ".new", outputs.path)
