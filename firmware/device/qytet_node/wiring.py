"""Makes the node's parts of its settings and its profile. Needed at the start only, then forgotten: see `forget`."""

import os
import sys

from qytet_node import VERSION, config, health, profile
from qytet_node.backlog import Backlog
from qytet_node.clock import Clock
from qytet_node.log import Log
from qytet_node.parts import Parts
from qytet_node.sampling import Sampler, Sensor
from qytet_node.timekeeper import Timekeeper
from qytet_node.uplink import Uplink
from qytet_node.wifi import Wifi, trusting

_FORGOTTEN = ("wiring", "config", "profile", "parts")


def wire(app, make_hardware, floor_ms, say):
    """Give the application its parts. Raises config.ConfigError or profile.ProfileError."""
    app.settings = settings = config.load(app.etc + "/" + app.named)
    found, board = profile.load(app.root, settings)
    app.hardware = hardware = make_hardware(board)
    app.clock = Clock(hardware.ticks_ms, hardware.ticks_diff, floor_ms)
    app.clock.set(hardware.rtc_ms(), "rtc")  # what a restart left; after a power cut it is below the floor
    app.journal = Log(app.clock, say=say)
    boot = "".join("%02x" % byte for byte in os.urandom(4))
    app.backlog = Backlog(app.data, boot, settings["keep_bytes"])
    _line(app, found)
    _sensors(app, found)
    _outputs(app, found.get("outputs"))


def forget():
    """Give back the memory of what is needed at the start only; whoever needs it again imports it again."""
    package = sys.modules["qytet_node"]
    for name in _FORGOTTEN:
        sys.modules.pop("qytet_node." + name, None)
        if hasattr(package, name):
            delattr(package, name)


def _line(app, found):
    settings, broker = app.settings, app.settings["broker"]
    trust = trusting(app.etc) if broker["tls"] else None
    app.link = Wifi(app.hardware.station(), settings["wifi"], broker, trust)
    app.keeper = Timekeeper(app.clock, settings["ntp"], app.hardware.set_rtc, needed=broker["tls"])
    every = profile.keys(found) + health.keys([row["name"] for row in found["sensors"]])
    about = {
        "city": settings["city"],
        "device": settings["device"],
        "user": broker["user"],
        "password": broker["password"],
        "fw": VERSION,
        "board": settings["board"],
        "ds": profile.streams(app.root, every),
    }
    app.uplink = Uplink(about, app.link, app.clock, app.backlog, app.on_command, app.keeper.known)
    app.journal.send = app.uplink.log


def _sensors(app, found):
    app.parts = parts = Parts(app.hardware, app.data, app.latest)
    warm = app.hardware.reset_cause() != health.POWER_ON
    sensors = []
    for row in found["sensors"]:
        try:
            sensors.append(Sensor(row, parts.make(row), app.clock, warm))
        except profile.ProfileError as error:  # the others are worth as much as before
            app.journal.error(str(error))
    app.motion = parts.motion
    del app.parts
    app.sampler = Sampler(sensors, app.clock, app.record, found["report_s"], app.levels)
    app.health = health.Health(app.clock, app.link, app.backlog, sensors, app.hardware)


def _outputs(app, rows):
    app.outputs = None
    if rows:
        from qytet_node.outputs import Outputs

        path = app.etc + "/outputs.json"
        app.outputs = Outputs(rows, app.hardware, app.clock, path, app.lux, app.record)
        if app.outputs.damaged:
            app.journal.error("orders of outputs cannot be read: they are as after installation")
