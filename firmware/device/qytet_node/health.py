"""How the node is, by the catalogue's names: a record of its own, beside what it measures."""

import gc

POWER_ON, RESET_PIN, WATCHDOG, DEEP_SLEEP, SOFTWARE = 1, 2, 3, 4, 5
"""The catalogue's codes of `reset_cause`; the ESP32's `machine.reset_cause()` has the same numbers."""
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


class Health:
    """`board` gives reset_cause(), temperature() and storage(), the used part of the flash in %."""

    def __init__(self, clock, link, backlog, sensors, board):
        self._clock, self._link, self._backlog, self._sensors, self._board = (
            clock,
            link,
            backlog,
            sensors,
            board,
        )
        self._cause = board.reset_cause()

    def values(self):
        """What is known now; what the chip or the network does not tell is left out."""
        gc.collect()
        found = {
            "uptime": self._clock.up() // 1000,
            "memory_free": gc.mem_free(),
            "rssi": self._link.rssi,
            "backlog_records": self._backlog.depth,
            "dropped_records_total": self._backlog.dropped,
            "reset_cause": self._cause if 0 <= self._cause <= SOFTWARE else 0,
            "storage_used": self._board.storage(),
            "board_temperature": self._board.temperature(),
        }
        for sensor in self._sensors:
            found["sensor_errors_total:" + sensor.name[:24]] = sensor.errors
        return {key: value for key, value in found.items() if value is not None}
