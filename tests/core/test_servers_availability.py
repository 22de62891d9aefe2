"""A server that cannot be had is never overlooked, and the cache holds only whole servers."""

from pathlib import Path

import pytest
from tests.fixtures.availability import required
from tests.servers.cache import UnavailableError, cached


def test_a_missing_server_fails_in_ci(monkeypatch: pytest.MonkeyPatch) -> None:
    """With CI in the environment a missing server is a failure that says why."""
    monkeypatch.setenv("CI", "true")
    with pytest.raises(pytest.fail.Exception, match="Mosquitto: no apt"), required("Mosquitto"):
        raise UnavailableError("no apt here")


def test_a_missing_server_skips_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a developer's machine it is a skip that says why."""
    monkeypatch.delenv("CI", raising=False)
    with pytest.raises(pytest.skip.Exception, match="Mosquitto: no apt"), required("Mosquitto"):
        raise UnavailableError("no apt here")


def test_a_half_built_server_is_built_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A download that breaks leaves nothing under the server's name; a whole one is built once."""
    monkeypatch.setenv("QYTET_TEST_CACHE", str(tmp_path))
    built: list[str] = []

    def breaks(target: Path) -> None:
        (target / "half").touch()
        raise UnavailableError("the line broke")

    def works(target: Path) -> None:
        built.append(target.name)
        (target / "whole").touch()

    with pytest.raises(UnavailableError):
        cached("server", breaks, lambda _line: None)
    for _ in range(2):
        folder = cached("server", works, lambda _line: None)
        assert [path.name for path in folder.iterdir()] == ["whole"]
    assert len(built) == 1
