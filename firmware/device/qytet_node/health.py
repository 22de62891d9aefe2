"""How the node is, by the catalogue's names: a record of its own, beside what it measures; and how it ends."""

import asyncio
import gc

POWER_ON, RESET_PIN, WATCHDOG, DEEP_SLEEP, SOFTWARE = 1, 2, 3, 4, 5
"""The catalogue's codes of `reset_cause`; the ESP32's `machine.reset_cause()` has the same numbers."""
DRIFT_PPM = 100
"""A crystal is off by 40 at the utmost, heat and cold included; one that is off by more is failing."""
_KEYS = (
    "backlog_records",
    "board_temperature",
    "dropped_records_total",
    "memory_free",
    "reset_cause",
    "rssi",
    "storage_used",
    "uptime",
)


def keys(sensors):
    """The keys of a health record: `sensor_errors_total` once for each sensor, by its name."""
    return list(_KEYS) + ["sensor_errors_total:" + name[:24] for name in sensors]


def streams(app):
    """Rows of key and unit of everything that the application tells, as JSON. Raises profile.ProfileError."""
    from qytet_node import profile

    sensors = app.sampler.sensors
    every = [key for sensor in sensors for key in sensor.window.kinds]
    every += list(app.levels()) + keys([sensor.name for sensor in sensors])
    return profile.streams(app.root, every)


def values(app):
    """What is known now, of the application's parts; what the chip or the network does not tell is left out.

    `app.hardware` gives reset_cause(), temperature() and storage(), the used part of the flash in %.
    """
    gc.collect()
    cause = app.hardware.reset_cause()
    found = {
        "uptime": app.clock.up() // 1000,
        "memory_free": gc.mem_free(),
        "rssi": app.link.rssi,
        "backlog_records": app.backlog.depth,
        "dropped_records_total": app.backlog.dropped,
        "reset_cause": cause if 0 <= cause <= SOFTWARE else 0,
        "storage_used": app.hardware.storage(),
        "board_temperature": app.hardware.temperature(),
    }
    for sensor in app.sampler.sensors:
        found["sensor_errors_total:" + sensor.name[:24]] = sensor.errors
    return {key: value for key, value in found.items() if value is not None}


def tell_troubles(app):
    """Log what sensors and the line complain of, steps of the clock, damage on flash; each but the line's once."""
    for sensor in app.sampler.sensors:
        if sensor.last_error:
            app.journal.warning("sensor " + sensor.name + ": " + sensor.last_error)
            sensor.last_error = ""
    if not app.uplink.online and app.uplink.why:
        app.journal.warning("no line: " + app.uplink.why)
    if app.clock.steps:
        app.journal.warning("the clock stepped: %d times by more than 2 s" % app.clock.steps)
        app.clock.steps = 0
    if abs(app.clock.drift_ppm) > DRIFT_PPM:
        app.journal.warning("the clock drifts by %d ppm" % app.clock.drift_ppm)
        app.clock.drift_ppm = 0.0
    if app.backlog.damaged:
        app.journal.error("damaged on flash: %d files of the backlog" % app.backlog.damaged)
        app.backlog.damaged = 0


async def restart(app, why):
    """As `App.restart` says."""
    app.journal.warning("restart: " + why)
    for _ in range(50):
        if not app.uplink.speaks_up:
            break
        await asyncio.sleep_ms(100)
    for sensor in app.sampler.sensors:
        await sensor.stop()
    try:
        app.backlog.close()
    except OSError:
        pass  # the records are on flash; what is confirmed and not written down is sent twice
    app.hardware.reset()
