"""Makes the node's parts of its settings and its profile. Needed at the start only (`lent.py`)."""

import os

from qytet_node import VERSION, config, health, profile
from qytet_node.backlog import Backlog
from qytet_node.clock import Clock
from qytet_node.drivers.keys import settled
from qytet_node.log import Log
from qytet_node.parts import Parts
from qytet_node.sampling import Sampler, Sensor
from qytet_node.timekeeper import Timekeeper
from qytet_node.uplink import Uplink
from qytet_node.wifi import Wifi

_SEGMENT, _SEGMENTS = 16384, 80
"""Bytes of a segment of the backlog; more where that would make more segments, as memory has a row for each."""


def wire(app, make_hardware, floor_ms, say):
    """Give the application its parts. Raises config.ConfigError or profile.ProfileError."""
    settings = config.load(app.etc + "/" + app.named)
    found, board = profile.load(app.root, settings)
    hardware = make_hardware(board)
    app.hardware = chip = hardware.chip
    app.clock = Clock(chip.ticks_ms, chip.ticks_diff, floor_ms)
    app.clock.set(chip.rtc_ms(), "rtc")  # what a restart left; after a power cut it is below the floor
    app.journal = Log(app.clock, say=say)
    boot = "".join("%02x" % byte for byte in os.urandom(4))
    keep = settings["keep_bytes"]
    app.backlog = Backlog(app.data, boot, keep, max(_SEGMENT, keep // _SEGMENTS))
    _line(app, settings, hardware)
    _sensors(app, found, hardware)
    _outputs(app, found.get("outputs"), hardware)
    settled()
    app.streams()  # a key that the catalogue does not have is found out now


def _line(app, settings, hardware):
    broker = settings["broker"]
    app.link = Wifi(hardware.station(), settings["wifi"], broker, app.etc if broker["tls"] else None)
    app.keeper = Timekeeper(app.clock, settings["ntp"], app.hardware.set_rtc, needed=broker["tls"])
    about = {
        "city": settings["city"],
        "device": settings["device"],
        "user": broker["user"],
        "password": broker["password"],
        "fw": VERSION,
        "board": settings["board"],
        "ds": app.streams,
    }
    app.uplink = Uplink(about, app.link, app.clock, app.backlog, app.on_command, app.keeper.known)
    app.journal.send = app.uplink.log


def _sensors(app, found, hardware):
    asked = ["photocell_illuminance"] if found.get("outputs") else []

    def reader(key):
        asked.append(key)
        return app.reader(key)

    parts = Parts(hardware, app.data, reader, found["sensors"])
    warm = app.hardware.reset_cause() != health.POWER_ON
    sensors = []
    for row in found["sensors"]:
        try:
            sensors.append(Sensor(row, parts.make(row), app.clock, warm))
        except profile.ProfileError as error:  # the others are worth as much as before
            app.journal.error(str(error))
    for sensor in sensors if asked else ():
        sensor.kept = tuple(sensor.kept) + tuple(asked)
    app.motion = parts.motion
    app.sampler = Sampler(sensors, app.clock, app.record, found["report_s"], app.levels)


def _outputs(app, rows, hardware):
    app.outputs = None
    if rows:
        from qytet_node.outputs import Outputs

        path = app.etc + "/outputs.json"
        app.outputs = Outputs(rows, hardware, app.clock, path, app.lux, app.record)
        if app.outputs.damaged:
            app.journal.error("orders of outputs cannot be read: they are as after installation")
