"""What faults do to a device's records, one device at a time; what the models throw in by chance is mended first.

Chance is drawn by the calendar: without that, a test would pass in one fortnight and fail in another.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING

from tests.dashboards.city import truth

if TYPE_CHECKING:
    from tests.dashboards.city.scenario import Record, Scenario

_HOUR_MS = 3_600_000
_LAST_MS = 4 * _HOUR_MS
"""How long ago most faults began."""
_NOT_WORSE = {"pm2_5": 85.0, "pm10": 190.0, "no2": 95.0, "o3": 155.0}
Change = Callable[["Record", "Scenario"], None]


def apply(records: Iterable[Record], scenario: Scenario) -> Iterator[Record]:
    """The records with whatever is wrong with their device."""
    changes = _changes()
    for record in records:
        _mend(record, scenario)
        if "dma" in record.device and record.t_ms % _HOUR_MS < 900_000:
            record.values.update(
                {
                    "battery_level": _battery(record, scenario),
                    "battery_voltage": 3.6,
                    "backlog_records": 0,
                }
            )
        if (change := changes.get(record.device)) is not None:
            change(record, scenario)
        yield record


def _changes() -> dict[str, Change]:
    return {
        truth.DEAD_LAMP[0]: _dead,
        truth.DARK_GROUP: _dark_group,
        truth.DAY_BURNER[0]: _burning,
        truth.CYCLING_LAMP[0]: _cycling,
        truth.LOW_CHLORINE: _chlorine,
        truth.POOR_AIR: _smog,
        truth.STUCK_LANE[0]: _stuck,
        truth.FLAGGED: _flagged,
    }


def _mend(record: Record, scenario: Scenario) -> None:
    """Lamps do as they are told, and air is never worse than poor (EEA's bands of 2024)."""
    values = record.values
    for name, most in _NOT_WORSE.items():
        if values.get(name) is not None:
            values[name] = min(values[name] or 0.0, most)
    for key, level in list(values.items()):
        if key.startswith("lamp_dimming_level:"):
            lamp = key.partition(":")[2]
            rated = scenario.fleet.by_name[record.device].traits.get("rated_power", 90.0)
            told = 0.3 + (rated - 0.3) * (0.05 + 0.0095 * level) if level else 0.0
            watts = values[f"lamp_active_power:{lamp}"] or 0.0
            if abs(watts - told) > 0.1 * rated:
                values[f"lamp_active_power:{lamp}"] = round(told, 1)


def _is_recent(record: Record, scenario: Scenario) -> bool:
    return record.t_ms >= scenario.now_ms - _LAST_MS


def _battery(record: Record, scenario: Scenario) -> float:
    """A cell that loses a hundredth a day; one zone's is low."""
    level = 14.0 if record.device == truth.ASLEEP else 90.0
    return round(level + (scenario.now_ms - record.t_ms) / _HOUR_MS / 24, 1)


def _dead(record: Record, scenario: Scenario) -> None:
    _darken(record, scenario, truth.DEAD_LAMP[1])


def _dark_group(record: Record, scenario: Scenario) -> None:
    if _is_recent(record, scenario):
        for lamp in ("lamp1", "lamp2"):
            _darken(record, scenario, lamp)


def _darken(record: Record, scenario: Scenario, lamp: str) -> None:
    """Commanded on but dark; commanded in the last hours also by day, so that it shows whatever the clock says."""
    if _is_recent(record, scenario):
        record.values[f"lamp_dimming_level:{lamp}"] = 100.0
    if record.values[f"lamp_dimming_level:{lamp}"]:
        record.values.update({f"lamp_active_power:{lamp}": 0.3, f"lamp_supply_current:{lamp}": 0.002})


def _burning(record: Record, _: Scenario) -> None:
    """Never switched off: full power by day."""
    lamp = truth.DAY_BURNER[1]
    if not record.values[f"lamp_dimming_level:{lamp}"]:
        record.values.update({f"lamp_active_power:{lamp}": 90.0, f"lamp_supply_current:{lamp}": 0.4})


def _cycling(record: Record, scenario: Scenario) -> None:
    """On and off every five minutes while commanded on, in the last hours."""
    lamp = truth.CYCLING_LAMP[1]
    if _is_recent(record, scenario):
        is_lit = record.t_ms // 300_000 % 2 == 0
        record.values.update(
            {
                f"lamp_dimming_level:{lamp}": 100.0,
                f"lamp_active_power:{lamp}": 45.0 if is_lit else 0.0,
            }
        )


def _chlorine(record: Record, scenario: Scenario) -> None:
    if _is_recent(record, scenario):
        record.values["water_free_chlorine"] = 0.08


def _smog(record: Record, scenario: Scenario) -> None:
    if _is_recent(record, scenario):
        record.values.update({"pm2_5": 160.0, "pm10": 290.0})


def _stuck(record: Record, scenario: Scenario) -> None:
    lane = truth.STUCK_LANE[1]
    if _is_recent(record, scenario):
        record.values.update(
            {
                f"vehicle_count:{lane}": 17,
                f"vehicle_speed_mean:{lane}": 31.0,
                f"lane_occupancy:{lane}": 9.0,
            }
        )


def _flagged(record: Record, scenario: Scenario) -> None:
    """A sensor that now and then says what cannot be: suspect, and fail."""
    step = record.t_ms // 900_000
    if step % 11 == 0:
        record.values["pm2_5"] = 400.0
    elif step % 17 == 0:
        record.values["pm2_5"] = 2000.0
