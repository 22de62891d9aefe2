"""A wish to stop is heard wherever the main thread is when the signal comes."""

import signal
import threading
from collections.abc import Iterator

import pytest

from qytet.asked import Asked


@pytest.fixture
def asked() -> Iterator[Asked]:
    """Set by SIGUSR1."""
    found = Asked()
    before = signal.signal(signal.SIGUSR1, lambda *_: found.set())
    yield found
    signal.signal(signal.SIGUSR1, before)


@pytest.mark.timeout(60)
def test_a_signal_that_comes_within_a_wait_does_not_wait_for_itself(asked: Asked) -> None:
    """With the event's lock in the main thread's hands, as `wait` has it for moments, the handler ends and all wake."""
    heard: list[bool] = []
    other = threading.Thread(target=lambda: heard.append(asked.wait(60)))
    other.start()
    with asked._cond:  # type: ignore[attr-defined]  # where `wait` is before it sleeps and after
        signal.raise_signal(signal.SIGUSR1)
        assert asked.is_set()
    other.join()
    assert heard == [True]
    assert asked.wait(0)


def test_nobody_asked(asked: Asked) -> None:
    """Until then a wait ends with its time."""
    assert not asked.is_set()
    assert not asked.wait(0.01)
