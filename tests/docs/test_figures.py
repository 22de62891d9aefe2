"""The figures on the page about performance: written by a command, never by hand."""

import importlib.util
from datetime import UTC, datetime
from types import ModuleType

import pytest

from tests.docs.markdown import ROOT

ONE = {"readings_per_s": 123456.7, "ratio": 0.456, "worker_cpu_us": 2.25, "worker_memory_mb": 99.6}
FOUND = {
    "rows_before": 0,
    "small": {"copy_readings_per_s": 270000.4, "end_to_end": {"1": ONE, "6": ONE, "30": ONE}},
    "latency_ms": {"p50": 80.2, "p99": 140.9},
}


@pytest.fixture
def figures() -> ModuleType:
    spec = importlib.util.spec_from_file_location("figures", ROOT / "docs/figures.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_page_can_be_filled_again_and_again(figures: ModuleType) -> None:
    """Filling replaces what stood between the marks and nothing else."""
    page = figures.PAGE.read_text(encoding="utf-8")
    text = figures.section(FOUND, datetime(2026, 3, 1, tzinfo=UTC))
    once = figures.filled(page, text)
    assert once == figures.filled(once, text)
    assert "| 6 | 123,457 | 0.46 | 2.2 | 100 |" in once
    assert "270,000 readings/s" in once
    assert "p50 80 ms, p99 141 ms" in once
    assert once.partition(figures.BEGIN)[0] == page.partition(figures.BEGIN)[0]
    assert once.partition(figures.END)[2] == page.partition(figures.END)[2]


def test_the_dashboards_times_have_a_place_of_their_own(figures: ModuleType) -> None:
    """The slowest ten queries, the median and the highest p95 stand between marks of their own."""
    panels = [
        {"panel": f"air/{n}", "p50_ms": 10.0 * n, "p95_ms": 12.0 * n, "rows": 1000 * n} for n in range(1, 12)
    ]
    found = {"readings": 10_546_560, "days": 30, "panels": panels}
    text = figures.boards(found, datetime(2026, 3, 1, tzinfo=UTC))
    assert "11 queries over 30 days and 10.5 million readings" in text
    assert "the median is 72 ms, the highest 132 ms" in text
    assert "| air/11 | 110 | 132 | 11,000 |" in text
    assert "air/2 " in text
    assert "air/1 " not in text
    page = figures.PAGE.read_text(encoding="utf-8")
    once = figures.filled(page, text, figures.BEGIN_BOARDS, figures.END_BOARDS)
    assert once.partition(figures.BEGIN_BOARDS)[0] == page.partition(figures.BEGIN_BOARDS)[0]
    assert once.partition(figures.END_BOARDS)[2] == page.partition(figures.END_BOARDS)[2]


def test_a_page_without_its_marks_is_refused(figures: ModuleType) -> None:
    """Figures that would be written nowhere are an error."""
    with pytest.raises(ValueError, match="lacks"):
        figures.filled("no marks", "text")
