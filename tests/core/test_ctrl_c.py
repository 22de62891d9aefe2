"""Ctrl-C is remembered even where its exception is lost."""

import contextlib
import signal

import pytest

from qytet.ctrl_c import CtrlC


def test_what_is_swallowed_is_remembered() -> None:
    """A library that swallows the exception does not make the program forget that it was asked to end."""
    with CtrlC() as asked:
        with contextlib.suppress(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
        assert asked.seen


def test_gently_the_second_time_raises() -> None:
    """A loop that looks by itself is not torn apart; who presses twice is heard at once."""
    before = signal.getsignal(signal.SIGINT)
    with CtrlC(gently=True) as asked:
        signal.raise_signal(signal.SIGINT)
        assert asked.seen
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) is before
