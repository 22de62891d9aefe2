"""What is wrong in the three cities shows in the views that dashboards read; each tier's test takes these up."""

from typing import Any

import pytest

from tests.dashboards.asking import Asker
from tests.dashboards.boards import Board, boards
from tests.dashboards.city import truth
from tests.dashboards.city.scenario import Scenario

_ALL = "'{*}'"
_SINCE = "now() - interval '3 days', now()"
ON_BOARDS: list[tuple[str, tuple[Any, ...]]] = [
    ("lighting", (*truth.DEAD_LAMP, 4.0)),
    ("lighting", (*truth.DAY_BURNER, 5.0)),
    ("lighting", (*truth.CYCLING_LAMP, 6.0)),
    ("water", (truth.LOW_CHLORINE, "water_free_chlorine", False)),
    ("fleet", (truth.SILENT, 3.0)),
    ("fleet", (truth.RELAYED[0], 4.0)),
    ("national", ("gateway", truth.GATEWAY, 1.0 + len(truth.RELAYED))),
    ("traffic", (" · ".join(truth.STUCK_LANE), 1.0)),
    ("delivery", (truth.LOSSY, 6.0)),
]
"""What some table of a board must hold in one row."""


def _rows(asker: Asker, sql: str) -> list[dict[str, Any]]:
    frame = asker.rows(sql)
    return [
        dict(zip((one.name for one in frame.fields), row, strict=True))
        for row in zip(*(one.values for one in frame.fields), strict=True)
    ]


def test_a_dead_lamp_is_dark(asker: Asker) -> None:
    """A lamp that is commanded on and draws nothing is dark now, and among the faults of the last days."""
    device, channel = truth.DEAD_LAMP
    now = _rows(asker, f"select device, channel, state from qytet.lamp_now({_ALL}, {_ALL}, {_ALL}, {_ALL})")
    assert {"device": device, "channel": channel, "state": 4} in now
    faults = _rows(asker, f"select * from qytet.lamp_fault({_ALL}, {_ALL}, {_ALL}, {_ALL}, {_SINCE})")
    assert [
        row["ongoing"]
        for row in faults
        if (row["device"], row["channel"], row["state"]) == (device, channel, 4)
    ][-1:] == [True]


def test_a_lamp_that_burns_by_day_is_found(asker: Asker) -> None:
    """A lamp at full power under the sun is a day-burner within three days."""
    faults = _rows(
        asker,
        f"select device, channel, state from qytet.lamp_fault({_ALL}, {_ALL}, {_ALL}, {_ALL}, {_SINCE})",
    )
    device, channel = truth.DAY_BURNER
    assert {"device": device, "channel": channel, "state": 5} in faults


def test_a_lamp_that_goes_on_and_off_is_cycling(asker: Asker) -> None:
    """A lamp that changes every five minutes while it is commanded on is cycling."""
    faults = _rows(
        asker,
        f"select device, channel, state from qytet.lamp_fault({_ALL}, {_ALL}, {_ALL}, {_ALL}, {_SINCE})",
    )
    device, channel = truth.CYCLING_LAMP
    assert {"device": device, "channel": channel, "state": 6} in faults


def test_a_leak_raises_the_night_minimum(asker: Asker, scenario: Scenario) -> None:
    """From the night of the burst on, the least flow is well above the nights before; elsewhere it is not."""
    nights = _rows(
        asker, f"select * from qytet.night_flow({_ALL}, {_ALL}, {_ALL}, now() - interval '6 days', now())"
    )
    leaking = [row for row in nights if row["device"] == truth.LEAKING and row["night_flow"] is not None]
    before = [row["night_flow"] for row in leaking if row["time"].timestamp() * 1000 < scenario.leak_ms]
    after = [row["night_flow"] for row in leaking if row["time"].timestamp() * 1000 >= scenario.leak_ms]
    assert after
    assert len(before) >= 3
    assert min(after) > 1.5 * max(before)
    ratios = {row["device"]: row["ratio"] for row in nights if row["night_flow"] is not None}
    assert ratios[truth.LEAKING] > 1.5
    assert ratios["durres-dma-01"] < 1.3


def test_a_silent_device_is_silent_and_others_are_not(asker: Asker) -> None:
    """The fleet shows who is silent, by itself or for its gateway, who sleeps, and that the healthy are well."""
    status = {
        row["device"]: row["status"]
        for row in _rows(asker, f"select * from qytet.fleet({_ALL}, {_ALL}, {_ALL})")
    }
    assert status[truth.SILENT] == 3
    assert status[truth.GATEWAY] == 3
    assert {status[device] for device in truth.RELAYED} == {4}
    assert status[truth.ASLEEP] == 5
    assert {status[device] for device in truth.HEALTHY} <= {
        1,
        2,
    }  # a slow machine makes them late, not silent


def test_an_outage_is_one_row(asker: Asker) -> None:
    """A gateway's silence is one outage that counts those behind it; a device's is its own; no city is silent."""
    outages = {
        (row["cause"], row["subject"]): row["devices"] for row in _rows(asker, "select * from qytet.outage")
    }
    assert outages == {("gateway", truth.GATEWAY): 1 + len(truth.RELAYED), ("device", truth.SILENT): 1}


def test_health_of_devices_shows(asker: Asker) -> None:
    """A low battery, reboots and records that never came show in the fleet."""
    fleet = {row["device"]: row for row in _rows(asker, f"select * from qytet.fleet({_ALL}, {_ALL}, {_ALL})")}
    assert fleet[truth.ASLEEP]["battery_level"] < 20
    assert fleet[truth.REBOOTING]["boots_24h"] >= 3
    assert fleet["durres-dma-02"]["boots_24h"] == 0
    assert fleet[truth.LOSSY]["missing"] == 6
    assert fleet[truth.LOSSY]["firmware"] == "0.4.1"


def test_delivery_tells_what_happened_on_the_way(asker: Asker) -> None:
    """Late, doubled, rejected, dropped and missing records are counted for their device, and for no healthy one."""
    sums = "sum(late)::bigint as late, sum(duplicate)::bigint as duplicate, sum(rejected)::bigint as rejected"
    sums += ", sum(dropped)::bigint as dropped, max(missing) as missing, sum(suspect)::bigint as suspect"
    found = {
        row["device"]: row
        for row in _rows(asker, f"select device, {sums} from qytet.delivery_hour group by 1")
    }
    for column, device in (
        ("late", truth.LATE),
        ("duplicate", truth.DOUBLED),
        ("rejected", truth.REJECTED),
        ("dropped", truth.DROPPING),
        ("missing", truth.LOSSY),
        ("suspect", truth.FLAGGED),
    ):
        assert found[device][column] > 0, column
        assert {found[other][column] for other in truth.HEALTHY} == {0}, column
    letters = _rows(
        asker,
        "select device, reason, sum(letters)::bigint as letters from qytet.dead_letter_hour group by 1, 2",
    )
    assert {"device": truth.UNKNOWN, "reason": "unknown_device", "letters": 3} in letters


def test_low_chlorine_breaks_its_limit(asker: Asker) -> None:
    """Water without enough chlorine is not ok."""
    rows = _rows(
        asker,
        f"select * from qytet.water_quality_now({_ALL}, {_ALL}, {_ALL}) where property = 'water_free_chlorine'",
    )
    assert {row["device"]: row["ok"] for row in rows}[truth.LOW_CHLORINE] is False


def test_smog_is_the_worst_index(asker: Asker) -> None:
    """Four hours of 160 ug/m3 of PM2.5 are the worst band, and the particle is named."""
    rows = {
        row["device"]: row
        for row in _rows(asker, f"select * from qytet.air_index_now({_ALL}, {_ALL}, {_ALL})")
    }
    assert (rows[truth.POOR_AIR]["index"], rows[truth.POOR_AIR]["worst"]) == (6, "pm2_5")
    assert rows["tirana-air-01"]["index"] in range(1, 6)


def test_a_stuck_lane_is_noticed(asker: Asker) -> None:
    """A lane that counts the same number for hours is stuck; its neighbour is not."""
    rows = _rows(asker, f"select device, channel, stuck from qytet.lane_now({_ALL}, {_ALL}, {_ALL}, {_ALL})")
    device, channel = truth.STUCK_LANE
    assert {"device": device, "channel": channel, "stuck": 1} in rows
    assert {"device": device, "channel": "lane2", "stuck": 1} not in rows


@pytest.mark.parametrize(
    ("board", "values"), ON_BOARDS, ids=[f"{name}: {values[0]}" for name, values in ON_BOARDS]
)
def test_a_board_s_table_names_what_is_wrong(asker: Asker, board: str, values: tuple[Any, ...]) -> None:
    """Whoever opens the board of a domain finds the fault in one row of a table, with its device and its state."""
    opened = [one for one in boards() if one.bare == board]
    assert opened
    for one in opened:
        assert any(set(values) <= row for row in _table_rows(asker, one)), (
            f"{one.uid} has no row with {values}"
        )


def test_the_water_board_puts_the_leak_first(asker: Asker) -> None:
    """The zone whose night minimum rose most is the first row of a table, well above its usual nights."""
    for one in (one for one in boards() if one.bare == "water"):
        first = [row for table in _tables(asker, one) if table for row in table[:1]]
        assert any(truth.LEAKING in row and any(_is_raised(value) for value in row) for row in first), one.uid


def _is_raised(value: Any) -> bool:
    """A ratio to the nights before."""
    return isinstance(value, float) and 1.5 < value < 10


def _table_rows(asker: Asker, board: Board) -> list[set[Any]]:
    return [set(row) for table in _tables(asker, board) for row in table]


def _tables(asker: Asker, board: Board) -> list[list[tuple[Any, ...]]]:
    """The rows of each table of a board, as it opens."""
    context = asker.filled(board)
    found = []
    for panel in board.panels:
        if panel.type == "table":
            frames = asker.frames(panel, asker.context(board, context, panel))
            found += [list(zip(*(one.values for one in frame.fields), strict=True)) for frame in frames]
    return found
