"""The states that several dashboards show: codes of the database's views with their words and colours."""

from qytet_dashboards.vocabulary.colours import (
    BAD,
    DAY_BURNING,
    EAQI,
    NEUTRAL,
    OK,
    POOR,
    UNKNOWN,
    WARN,
    States,
)

__all__ = ["AIR_INDEX", "CAUSE", "FLEET", "LAMP", "QUALITY", "SERVICE", "STUCK"]

AIR_INDEX = States(
    "states", {0: ("air_0", UNKNOWN)} | {band: (f"air_{band}", EAQI[band - 1]) for band in range(1, 7)}
)
"""qytet.air_index.index"""

_SERVICE = ("#37872D", OK, "#96D98D", WARN, POOR, BAD)
SERVICE = States(
    "states",
    {0: ("service_0", UNKNOWN)} | {level: (f"service_{level}", _SERVICE[level - 1]) for level in range(1, 7)},
)
"""qytet.lanes.los: A to F"""

STUCK = States(
    "states", {0: ("stuck_0", OK), 1: ("stuck_1", WARN), 2: ("stuck_2", BAD), 3: ("stuck_3", POOR)}
)
"""qytet.lane_now.stuck"""

LAMP = States(
    "states",
    {
        0: ("lamp_0", UNKNOWN),
        1: ("lamp_1", "#37474F"),
        2: ("lamp_2", OK),
        3: ("lamp_3", "#96D98D"),
        4: ("lamp_4", BAD),
        5: ("lamp_5", DAY_BURNING),
        6: ("lamp_6", POOR),
        7: ("lamp_7", WARN),
    },
)
"""qytet.lamp_now.state"""

FLEET = States(
    "states",
    {
        0: ("fleet_0", UNKNOWN),
        1: ("fleet_1", OK),
        2: ("fleet_2", WARN),
        3: ("fleet_3", BAD),
        4: ("fleet_4", POOR),
        5: ("fleet_5", NEUTRAL),
    },
)
"""qytet.fleet.status"""

QUALITY = States(
    "quality",
    {
        1: ("good", OK),
        2: ("not_evaluated", NEUTRAL),
        3: ("suspect", WARN),
        4: ("fail", BAD),
        9: ("missing", UNKNOWN),
    },
)
"""The quality of a reading (QARTOD)"""

CAUSE = {name: f"states.cause_{name}" for name in ("city", "gateway", "device")}
"""qytet.outage.cause"""
