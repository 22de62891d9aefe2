"""Which Grafana, with which token: from settings and options, and never in the clear."""

from pathlib import Path

import pytest

from qytet import settings
from qytet.errors import InputError, SettingsError
from qytet_dashboards.grafana.where import resolve
from tests.dashboards import client_fixtures
from tests.dashboards.client_fixtures import Kit
from tests.dashboards.fake_grafana import TOKEN

grafana, kit = client_fixtures.grafana, client_fixtures.kit


@pytest.fixture(autouse=True)
def _token(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("QYTET_GRAFANA__TOKEN", TOKEN)
    settings.load.cache_clear()


@pytest.mark.parametrize(
    ("url", "shown", "api"),
    [
        ("https://city.example", "https://city.example", "https://city.example/api"),
        ("https://city.example:3000/", "https://city.example:3000", "https://city.example:3000/api"),
        ("https://city.example/grafana", "https://city.example/grafana", "https://city.example/grafana/api"),
        ("http://localhost:3000", "http://localhost:3000", "http://localhost:3000/api"),
        ("http://[::1]:3000/g/", "http://[::1]:3000/g", "http://[::1]:3000/g/api"),
    ],
)
def test_addresses(url: str, shown: str, api: str) -> None:
    """A URL with or without port, path or brackets reaches the API that Grafana serves there."""
    from qytet_dashboards.grafana.server import connect

    where = resolve(url)
    assert where.shown == shown
    with connect(where) as server:
        assert server.api.client.url == api


@pytest.mark.parametrize(
    "url",
    [
        "city.example",
        "ftp://city.example",
        "https://",
        "https://h/?x=1",
        "https://h/#x",
        "https://h:port",
        "https://h:0",
    ],
)
def test_bad_addresses(url: str) -> None:
    """What is no address of Grafana is refused with the form that it should have."""
    with pytest.raises(InputError) as caught:
        resolve(url)
    assert "https://" in str(caught.value)


@pytest.mark.parametrize(
    "url", ["https://admin:hunter2@city.example", "admin:hunter2@city.example", "https://h/?key=hunter2"]
)
def test_password_in_the_url_is_refused_and_not_repeated(url: str) -> None:
    """A URL with a password is refused, as it would be logged; the message does not hold it."""
    with pytest.raises(InputError) as caught:
        resolve(url)
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("host", ["city.example", "10.0.0.5", "localhost.example"])
def test_plain_http_only_to_this_machine(host: str) -> None:
    """http:// to another machine is refused, unless it is permitted by name."""
    with pytest.raises(InputError, match="without encryption"):
        resolve(f"http://{host}:3000")
    assert resolve(f"http://{host}:3000", insecure_http=True).host == host


def test_nothing_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a URL, and without a token, the error names the setting that is missing."""
    with pytest.raises(SettingsError, match="No Grafana is named"):
        resolve()
    monkeypatch.delenv("QYTET_GRAFANA__TOKEN")
    settings.load.cache_clear()
    with pytest.raises(SettingsError, match="QYTET_GRAFANA__TOKEN"):
        resolve("https://city.example")


def test_settings_name_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The settings' URL and a token from a secret file serve; options win over both."""
    monkeypatch.delenv("QYTET_GRAFANA__TOKEN")
    secrets = tmp_path / "secrets"
    secrets.mkdir()
    (secrets / "grafana__token").write_text("from-a-secret\n")
    monkeypatch.setenv("QYTET_SECRETS_DIR", str(secrets))
    monkeypatch.setenv("QYTET_GRAFANA__URL", "https://settings.example")
    settings.load.cache_clear()
    assert (resolve().host, resolve().token) == ("settings.example", "from-a-secret")
    other = tmp_path / "token"
    other.write_text("from-an-option\n")
    named = resolve("https://option.example", other)
    assert (named.host, named.token) == ("option.example", "from-an-option")


@pytest.mark.parametrize(
    "content", [b"", b"glsa_one\nglsa_two", b"glsa_three glsa_four", b"\xff\xfe", "shkronjë".encode()]
)
def test_bad_token_files(tmp_path: Path, content: bytes) -> None:
    """A token file that holds no token is refused, without a word of its content."""
    file = tmp_path / "token"
    file.write_bytes(content)
    with pytest.raises(SettingsError) as caught:
        resolve("https://city.example", file)
    words = [word for word in content.decode(errors="replace").split() if word]
    assert not any(word in str(caught.value) for word in words)


def test_missing_token_file(tmp_path: Path) -> None:
    """A token file that does not exist is named."""
    with pytest.raises(SettingsError, match="nowhere"):
        resolve("https://city.example", tmp_path / "nowhere")


def test_no_command_takes_a_token(kit: Kit) -> None:
    """No command has an option that takes the token itself: arguments are seen by every user of the machine."""
    for command in ("push", "diff", "pull-check", "permissions"):
        outcome = kit.run(command, "--token", "x")
        assert outcome.code == 2
        assert kit.grafana.requests == []
