"""What a source tells of its troubles is fit to be shown."""

from typing import Any

import pytest

from qytet_edge import desk
from qytet_edge.desk import Account


def test_a_stranger_s_bytes_do_not_reach_the_terminal() -> None:
    """Control characters in what an instrument or a server said are shown as what they are: nothing readable."""
    account = Account("page")
    account.trouble("the answer is 500 \x1b[2J\x1b]0;owned\x07 ë\nsecond line" + "x" * 10_000, "station")
    state = account.state_now()
    for told in (state["last_error"], state["devices"]["station"]["last_error"]):
        assert told.isprintable()
        assert told.startswith("the answer is 500 ")
        assert "ë" in told
        assert len(told) == 300


def test_a_trouble_that_lasts_wears_no_card(monkeypatch: pytest.MonkeyPatch) -> None:
    """A unit that is silent for days is a line an hour; another trouble, or one that comes back, is told soon."""
    lines: list[tuple[float, str, int]] = []
    now = 0.0

    class Log:
        def warning(self, _event: str, *, what: str, unsaid: int, **_more: Any) -> None:
            lines.append((now, what, unsaid))

    monkeypatch.setattr(desk, "_log", Log())
    account = Account("meters", lambda: now)
    for _ in range(2 * 86_400 // 10):
        account.trouble("silent", "meter-1")
        now += 10
    assert [at for at, _, _ in lines[:5]] == [0, 60, 180, 420, 900]
    assert 50 < len(lines) < 60
    assert len(lines) + sum(unsaid for *_, unsaid in lines) <= account.errors == 17_280

    del lines[:]
    for _ in range(6):
        account.trouble("garbled", "meter-1")
        now += 10
    assert [what for _, what, _ in lines] == ["garbled"]
    now += 90_000
    del lines[:]
    for _ in range(7):
        account.trouble("garbled", "meter-1")
        now += 10
    assert len(lines) == 2
