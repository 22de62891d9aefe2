"""What a source tells of its troubles is fit to be shown."""

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
