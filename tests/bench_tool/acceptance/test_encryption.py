"""Acceptance trusts the broker as the node does, and no further."""

import datetime as dt
import re
from pathlib import Path

import pytest

from qytet.deploy import tls
from qytet.embedded.ports import free_port
from qytet_bench.acceptance.facts import program_version
from tests.bench_tool.acceptance.city import City, TlsPort
from tests.bench_tool.acceptance.records import AUTHORITY, NAME, Accept, check, failing, of
from tests.bench_tool.desk import Desk

pytestmark = pytest.mark.servers


def test_encryption_is_verified_as_the_node_does(
    accept: Accept, city: City, desk: Desk, broker: TlsPort, tmp_path: Path
) -> None:
    """Another authority, another name, a plain port, nobody there, and a node that is set to plain MQTT: each fails."""
    city.node(of(desk, "safe-1"), firmware=program_version())
    good = dict(desk.common["broker"])
    (tmp_path / "plain").mkdir()
    with TlsPort(tmp_path / "plain", AUTHORITY, [NAME], plain=True) as plain:
        for changed, seen in (
            ({"name": "other.example"}, "not to be trusted"),
            ({"port": plain.port}, "does not speak TLS"),
            ({"port": free_port()}, "does not answer"),
            ({"tls": False}, "plain MQTT"),
        ):
            desk.common["broker"] = {**good, **changed}
            desk.write()
            done, record = accept("safe-1")
            assert (done.exit_code, failing(record)) == (1, ["tls"]), changed
            assert seen in check(record, "tls")["seen"]
    desk.common["broker"] = good
    (desk.folder / "ca.crt").write_bytes(tls.authority().certificate)
    desk.write()
    _, record = accept("safe-1")
    assert failing(record) == ["tls"]
    assert "not to be trusted" in check(record, "tls")["seen"]
    done, record = accept("safe-1", "--skip", "tls")
    assert (done.exit_code, check(record, "tls")["state"]) == (0, "skipped")
    assert "--skip" in check(record, "tls")["seen"]


def test_a_certificate_that_is_about_to_expire_fails(
    accept: Accept, city: City, desk: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Less than two weeks left: the technician hears of it today, not the city in two weeks."""
    monkeypatch.setattr(tls, "SERVER_LIFE", dt.timedelta(days=5))
    with TlsPort(tmp_path, AUTHORITY, [NAME]) as short:
        desk.common["broker"]["port"] = short.port
        desk.write()
        city.node(of(desk, "safe-2"), firmware=program_version())
        _, record = accept("safe-2")
    assert failing(record) == ["tls"]
    assert re.search(
        r"TLSv1\.[23], for mqtt\.tirana\.example until .*, [45] days left", check(record, "tls")["seen"]
    )
    assert "rotate" in check(record, "tls")["do"]
