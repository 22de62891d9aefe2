"""What a broker's URL says, and what it never shows."""

import pytest

from qytet.broker import BrokerUrl


def test_a_url_says_where_and_who() -> None:
    """Scheme, host, port and credentials are taken apart, percent-encoding undone, ports by scheme."""
    found = BrokerUrl.parse("mqtts://in%40gest:hunter%2F2@broker")
    assert found == BrokerUrl("broker", 8883, True, "in@gest", "hunter/2")
    assert BrokerUrl.parse("mqtt://[::1]:1999") == BrokerUrl("::1", 1999, False)
    assert str(BrokerUrl.parse("mqtt://[::1]:1999")) == "[::1]:1999"
    assert BrokerUrl.parse("mqtt://host").port == 1883


def test_a_password_is_never_shown() -> None:
    """Neither what prints an address nor an error about a URL repeats its password."""
    found = BrokerUrl.parse("mqtt://user:hunter2@broker:1")
    assert "hunter" not in repr(found) + str(found)
    with pytest.raises(ValueError, match="malformed") as caught:
        BrokerUrl.parse("mqtt://u:hunter2@h:99999999")
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("url", ["", "http://host", "mqtt://", "mqtt://host:zero", "broker:1883"])
def test_what_is_no_broker_is_refused(url: str) -> None:
    """A URL that names no broker is refused with the reason."""
    with pytest.raises(ValueError, match="it"):
        BrokerUrl.parse(url)
