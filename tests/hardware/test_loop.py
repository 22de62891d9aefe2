"""The thread in which a bench lives serves other threads, and tells them when it no longer does."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from qytet_simulators.hardware.loop import Loop


@contextmanager
def _failing(began: threading.Event, fails: threading.Event) -> Iterator[Loop]:
    """A loop whose first step waits to be told to fail."""

    def step(_: bool) -> float | None:
        began.set()
        assert fails.wait(60)
        raise ValueError("a fault of the bench")

    loop = Loop("failing", step)
    loop.start()
    try:
        yield loop
    finally:
        fails.set()
        loop.stop()


def test_whoever_waits_for_a_bench_that_fails_is_told_why() -> None:
    """What was handed in when the thread failed is not waited for: the failure is raised at once."""
    began, fails = threading.Event(), threading.Event()
    with _failing(began, fails) as loop:
        assert began.wait(60)
        threading.Timer(0.05, fails.set).start()
        with pytest.raises(RuntimeError, match="the bench has ended") as told:
            loop.call(lambda: None, deadline_s=60)
    assert isinstance(told.value.__cause__, ValueError)
