"""A platform and a broker for acceptance, and the command that asks them."""

from collections.abc import Iterator
from typing import Any

import pytest
from typer.testing import Result

from qytet import settings as platform_settings
from qytet.embedded import EmbeddedPostgres
from tests.bench_tool.acceptance.city import TOKEN, City, TlsPort, as_json, serving
from tests.bench_tool.acceptance.records import AUTHORITY, NAME, Accept
from tests.bench_tool.desk import Desk
from tests.servers.database import fresh_database


@pytest.fixture(scope="package")
def city(postgres_server: EmbeddedPostgres) -> Iterator[City]:
    """The platform, for all tests: each has nodes of its own."""
    with fresh_database(postgres_server) as url, serving(url) as made:
        yield made


@pytest.fixture(scope="package")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TlsPort]:
    """What shows the broker's certificate."""
    with TlsPort(tmp_path_factory.mktemp("broker"), AUTHORITY, [NAME]) as port:
        yield port


@pytest.fixture
def accept(city: City, broker: TlsPort, desk: Desk, monkeypatch: pytest.MonkeyPatch) -> Iterator[Accept]:
    """Run `qytet bench test` for a device, once; gives its result and the record."""
    (desk.folder / "ca.crt").write_bytes(AUTHORITY.certificate)
    desk.common |= {"api": city.url, "profile": "micromet", "site": "skenderbej"}
    desk.common["broker"] = {"host": "127.0.0.1", "port": broker.port, "name": NAME}
    desk.write()
    monkeypatch.setenv("QYTET_API__OPERATOR_TOKEN", TOKEN)
    monkeypatch.chdir(desk.folder)

    def run(device: str, *options: str) -> tuple[Result, dict[str, Any]]:
        platform_settings.load.cache_clear()
        out = desk.folder / "records"
        before = set(out.glob("*.json"))
        done = desk.run(
            "test", "--device", device, "--within", "0", "--every", "0.1", "--out", str(out), *options
        )
        (made,) = set(out.glob("*.json")) - before
        return done, as_json(made)

    yield run
    platform_settings.load.cache_clear()
