"""Counters, latencies and addresses."""

import random

import pytest

from qytet.errors import InputError
from qytet_simulators.device import Address, Latency, Tally


def test_percentiles_are_right_to_a_few_percent() -> None:
    """p50, p95 and p99 of a histogram lie within 5 % of those of the values themselves."""
    dice = random.Random(1)
    values = sorted(dice.lognormvariate(-4, 1.5) for _ in range(20_000))
    latency = Latency()
    for value in values:
        latency.add(value)
    for share in (0.5, 0.95, 0.99):
        exact = values[int(share * len(values)) - 1] * 1000
        assert latency.percentile(share) == pytest.approx(exact, rel=0.05)
    assert latency.summary()["max"] == pytest.approx(values[-1] * 1000, rel=0.001)


def test_latency_without_samples_is_unknown() -> None:
    """No sample is no latency, rather than zero."""
    assert Latency().summary() == {"count": 0, "p50": None, "p95": None, "p99": None, "max": 0.0}


def test_extremes_stay_within_the_histogram() -> None:
    """A duration of nothing, or of a year, is counted and breaks nothing."""
    latency = Latency()
    latency.add(0.0)
    latency.add(3e7)
    assert latency.count == 2


def test_tallies_add_up() -> None:
    """The sum of tallies is the sum of each counter."""
    total = Tally(records=1, stored=2)
    total += Tally(records=10, dropped=3)
    assert (total.records, total.stored, total.dropped) == (11, 2, 3)


def test_address_is_read_from_a_url() -> None:
    """User, password, host, port and TLS come from the URL; percent signs are undone."""
    address = Address.parse("mqtts://a%40b:p%2Fw@broker.local")
    assert (address.host, address.port, address.user, address.password, address.tls) == (
        "broker.local",
        8883,
        "a@b",
        "p/w",
        True,
    )
    assert Address.parse("mqtt://h:1").port == 1


@pytest.mark.parametrize("url", ["", "http://x", "mqtt://", "mqtt://h:port", "mqtt://u:secret@h:99999999"])
def test_bad_url_is_refused_without_its_password(url: str) -> None:
    """A URL that cannot be used is refused with an example, and never shows a password."""
    with pytest.raises(InputError) as caught:
        Address.parse(url)
    assert "secret" not in str(caught.value)
    assert caught.value.do


def test_password_is_not_shown() -> None:
    """An address shows neither as text nor as a representation what must stay secret."""
    address = Address.parse("mqtt://u:secret@h:1")
    assert "secret" not in repr(address) + str(address)
