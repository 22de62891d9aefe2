"""`qytet edge status` for people: what a technician reads on a terminal of 80 columns."""

from typing import Any

import pytest

from qytet_edge.show import show_status

METER = {
    "values": {
        "grid_phase_voltage": 230.091123,
        "grid_current": None,
        "grid_active_power": 0.4224708,
        "own_count": 100_182_609_920,
    },
    "seen_s": 4.2,
    "errors": 2,
    "last_error": "unit 1 is silent: check its power and address, A and B, and that it is set to 9600 baud, parity N",
}


def state(**more: Any) -> dict[str, Any]:
    """What a gateway tells; `more` replaces whole tables."""
    source = {
        "name": "meters", "state": "running", "restarts": 0, "errors": 2, "last_error": METER["last_error"],
        "waiting_for_disk": False, "detail": {}, "devices": {"tirana-bench-meter": METER},
    }  # fmt: skip
    usual: dict[str, Any] = {
        "gateway": {"name": "gw", "city": "tirana", "version": "1", "boot": "1a384455", "running_s": 8.0},
        "clock": {"tq": "ntp", "source": "chrony (ntp.al)", "offset_s": 0.002},
        "uplink": {
            "connected": True, "broker": "b.example:8883", "since_s": 8.0, "last_mark_s": 1.0, "refusal": "",
            "unconfirmed": [],
        },
        "spool": {
            "records": 1, "bytes": 1 << 20, "limit_bytes": 2 << 30, "oldest_age_s": 3, "dropped": 0,
            "full_since_ms": None, "full_why": "", "set_aside": [],
        },
        "sources": [source],
        "rules": [],
        "outputs": [],
        "events": [],
    }  # fmt: skip
    return usual | more


@pytest.fixture
def shown(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Any:
    """What is printed on a terminal of 80 columns."""
    monkeypatch.setenv("COLUMNS", "80")

    def show(told: dict[str, Any], **options: bool) -> list[str]:
        show_status(told, **options)
        return capsys.readouterr().out.splitlines()

    return show


def test_nothing_is_wider_than_the_terminal(shown: Any) -> None:
    """A device has one line with the values that fit and a count of the rest; long errors go on below themselves."""
    lines = shown(state())
    assert max(map(len, lines)) <= 80
    assert "  tirana-bench-meter  4 s ago: grid_phase_voltage 230.0911, … 3 more" in lines
    error = next(number for number, line in enumerate(lines) if "2 errors, last: unit 1 is silent" in line)
    assert lines[error + 1].startswith("    ")
    assert sum("unit 1 is silent" in line for line in lines) == 1, "the source does not repeat its device"


def test_values_have_lines_and_units(shown: Any) -> None:
    """With `--values` each value can be compared with the instrument's display: all digits, unit, `no value`."""
    lines = shown(state(), values=True)
    assert "    grid_phase_voltage  230.0911 V" in lines
    assert "    grid_current        no value A" in lines
    assert "    grid_active_power   0.4224708 kW" in lines
    assert "    own_count           100182609920" in lines


def test_what_the_city_does_not_confirm_stands_out(shown: Any) -> None:
    """A device that is not registered is named, with how its registration must read, and what to ask next."""
    told = state()
    told["uplink"]["unconfirmed"] = [{"device": "m-1", "records": 24, "for_s": 240.0}]
    said = " ".join(" ".join(shown(told)).split())
    assert 'NOTHING of m-1: 24 records waiting for 4 min. Is it registered there with gateway = "gw"?' in said
    assert "qytet edge doctor" in said


def test_what_a_source_tells_beside_readings_is_shown(shown: Any) -> None:
    """A receiver's fix is shown though it makes no reading; counts of bad things only once there are some."""
    detail = {"fix": 0, "latitude": None, "satellites": 3, "sentences_good": 12, "sentences_bad": 0}
    gps = state()["sources"][0] | {
        "name": "gps",
        "devices": {},
        "errors": 0,
        "last_error": "",
        "detail": detail,
    }
    assert "  fix 0, satellites 3, sentences good 12" in shown(state(sources=[gps]))


def test_rules_outputs_and_events_are_shown(shown: Any) -> None:
    """What the gateway decided and moved can be followed: position and reason of each rule, each output, each event."""
    rule = {
        "name": "tank",
        "position": "on",
        "since_s": 300.0,
        "conditions": ["t-1 water_tank_level = 3.9 (above 3.8)"],
    }
    output = {"name": "valve", "wanted": 0.0, "is": None, "error": "no answer"}
    event = {
        "at_ms": 1_700_000_000_000,
        "level": "warning",
        "event": "output valve: " + "cannot be moved " * 8,
    }
    lines = shown(state(rules=[rule], outputs=[output], events=[event]))
    assert "rule tank: on for 5 min; t-1 water_tank_level = 3.9 (above 3.8)" in lines
    assert "output valve: wanted 0, is not known; no answer" in lines
    assert any(line.startswith("2023-11-1") and "output valve: cannot" in line for line in lines)
    assert max(map(len, lines)) <= 80


def test_trouble_with_the_disk_stands_out(shown: Any) -> None:
    """A disk that takes nothing, records dropped, and files set aside are each told, below the spool's line."""
    told = state()
    told["spool"] |= {
        "full_since_ms": 1,
        "full_why": "no space left",
        "dropped": 1,
        "set_aside": ["spool.corrupt-1"],
    }
    lines = shown(told)
    assert "Spool   1 record waiting, the oldest for 3 s (1.0 of 2048 MiB)" in lines
    assert "        THE DISK TAKES NOTHING, new readings wait: no space left" in lines
    assert "        1 record dropped, oldest first, because it was full" in lines
    assert "        corrupt files were set aside: spool.corrupt-1" in lines
