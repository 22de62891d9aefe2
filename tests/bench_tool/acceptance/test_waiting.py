"""Acceptance waits for what may still come, and for nothing else."""

from typing import Any

import pytest

from qytet_bench.acceptance import facts, run
from qytet_bench.acceptance.api import Api
from qytet_bench.acceptance.check import failed, passed
from qytet_bench.acceptance.facts import program_version
from tests.bench_tool.acceptance.city import City
from tests.bench_tool.acceptance.records import Accept, failing, of
from tests.bench_tool.desk import Desk

pytestmark = pytest.mark.servers


def test_it_waits_until_all_is_well(accept: Accept, city: City, desk: Desk) -> None:
    """A node whose readings arrive during the acceptance is accepted, long before the deadline."""
    wanted = of(desk, "late-1")
    asked: list[str] = []

    real = facts.fetch

    def fetch(api: Api, subject: Any) -> Any:
        asked.append("")
        if len(asked) == 2:
            city.node(wanted, firmware=program_version())
        return real(api, subject)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(run, "fetch", fetch)
        done, record = accept("late-1", "--within", "60")
    assert done.exit_code == 0, done.stderr
    assert len(asked) == 2
    assert "..." in done.stderr
    assert record["result"] == "passed"


def test_it_does_not_wait_for_what_will_not_change(
    accept: Accept, city: City, desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two readings in a row that cannot be are enough: the technician hears of it at once, not at the deadline."""
    city.node(of(desk, "broken-1"), firmware=program_version(), values={"air_pressure": 300.0})
    asked: list[str] = []
    real = facts.fetch

    def fetch(api: Api, subject: facts.Subject) -> facts.Facts:
        found = real(api, subject)
        asked.append("")
        found.latest["air_pressure"]["phenomenon_time"] += str(len(asked))
        return found

    monkeypatch.setattr(run, "fetch", fetch)
    done, record = accept("broken-1", "--within", "60")
    assert (done.exit_code, failing(record), len(asked)) == (1, ["sensor:weather"], 2)


def test_it_asks_again_for_a_broker_that_was_not_there(
    accept: Accept, city: City, desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A broker that starts again while it is asked for its certificate costs the node one look, and no more."""
    city.node(of(desk, "broker-late"), firmware=program_version())
    answers = [
        failed("tls", "Encryption", "it does not answer", "a certificate", "Wait."),
        passed("tls", "Encryption", "TLSv1.3", "a certificate"),
    ]
    monkeypatch.setattr(run, "check_tls", lambda _node: answers.pop(0))
    done, record = accept("broker-late", "--within", "60")
    assert (done.exit_code, failing(record), answers) == (0, [], [])
