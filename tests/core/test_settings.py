"""Settings: where they come from, which wins, and that none is undocumented and no secret is shown."""

import io
import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import SecretStr

from qytet import log, settings
from qytet.errors import SettingsError
from qytet.settings import LogSettings, Settings

_PAGE = Path(__file__).parents[2] / "docs" / "reference" / "settings.md"


@pytest.fixture(autouse=True)
def _alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """No settings but the test's own."""
    for name in [name for name in os.environ if name.startswith("QYTET_")]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    settings.load.cache_clear()
    yield
    settings.load.cache_clear()


def _names() -> dict[str, object]:
    found: dict[str, object] = {}
    for name, field in Settings.model_fields.items():
        inner = getattr(field.annotation, "model_fields", None)
        for key, info in (inner or {"": field}).items():
            found[f"{name}.{key}" if key else name] = info
    return found


@pytest.mark.parametrize("name", _names())
def test_every_setting_is_documented(name: str) -> None:
    """Each setting has a description, and stands in docs/reference/settings.md with its variable."""
    description = getattr(_names()[name], "description", None)
    assert description, f"{name} has no description"
    assert description.endswith("."), f"{name}: a description is a sentence"
    page = _PAGE.read_text(encoding="utf-8")
    assert f"`QYTET_{name.replace('.', '__').upper()}`" in page, "run `make generate`"
    assert description.split("|")[0] in page, "run `make generate`"


def test_no_setting_has_a_default_password() -> None:
    """Whatever is secret is empty until somebody sets it."""
    secrets = [info for info in _names().values() if getattr(info, "annotation", None) is SecretStr]
    assert len(secrets) >= 4
    assert [info for info in secrets if info.default.get_secret_value()] == []  # type: ignore[attr-defined]


def test_defaults_need_no_file(tmp_path: Path) -> None:
    """Without file and environment the defaults hold, and everything listens on loopback."""
    known = settings.load()
    assert (known.api.host, known.ingest.http_host) == ("127.0.0.1", "127.0.0.1")


def test_environment_wins_over_secret_files_which_win_over_the_file(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Of four settings given in more and more places, each has the value of the strongest."""
    (tmp_path / "qytet.toml").write_text(
        '[database]\nurl = "file"\nread_url = "file"\npool_size = 3\n[broker]\nurl = "file"\n'
    )
    folder = tmp_path / "run secrets"
    folder.mkdir()
    (folder / "database__url").write_text("secret file\n")
    (folder / "database__read_url").write_text("secret file\n")
    (folder / "unrelated").write_text("left alone")
    monkeypatch.setenv("QYTET_SECRETS_DIR", str(folder))
    monkeypatch.setenv("QYTET_DATABASE__URL", "environment")
    known = settings.load()
    assert known.database.url.get_secret_value() == "environment"
    assert known.database.read_url.get_secret_value() == "secret file"
    assert known.broker.url.get_secret_value() == "file"
    assert known.database.pool_size == 3


def test_the_file_that_qytet_file_names_is_read(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """QYTET_FILE takes the place of qytet.toml, also in a path with spaces; a missing one is an error."""
    (tmp_path / "qytet.toml").write_text('language = "sq"\n')
    other = tmp_path / "other file.toml"
    monkeypatch.setenv("QYTET_FILE", str(other))
    with pytest.raises(SettingsError, match="does not exist"):
        settings.load()
    other.write_text('language = "en"\n')
    assert settings.load().language == "en"


def test_a_missing_folder_of_secrets_is_an_error(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A service whose secrets are not mounted says so instead of starting with empty ones."""
    monkeypatch.setenv("QYTET_SECRETS_DIR", str(tmp_path / "nowhere"))
    with pytest.raises(SettingsError, match="folder of secrets"):
        settings.load()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('[database]\nurll = "hunter2"\n', "database.urll"),
        ('[database]\npool_size = "hunter2"\n', "database.pool_size"),
        ("[api]\nport = 70000\n", "api.port"),
        ("[api]\nport = true hunter2\n", "qytet.toml"),
        ('nonsense = "hunter2"\n', "nonsense"),
        ('[ingest]\nshard = "hunter2"\n', "ingest.shard"),
    ],
)
def test_what_is_wrong_in_the_file_is_named_and_never_quoted(tmp_path: Path, text: str, said: str) -> None:
    """The error names the setting (or the file, if it is no TOML) and repeats no value."""
    (tmp_path / "qytet.toml").write_text(text)
    with pytest.raises(SettingsError) as caught:
        settings.load()
    assert said in str(caught.value)
    assert "hunter2" not in str(caught.value)
    assert caught.value.__suppress_context__ or "hunter2" not in repr(caught.value.__cause__)


def test_a_wrong_variable_is_named_and_never_quoted(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same for the environment."""
    monkeypatch.setenv("QYTET_INGEST__BATCH_MS", "hunter2")
    with pytest.raises(SettingsError, match=r"ingest\.batch_ms") as caught:
        settings.load()
    assert "hunter2" not in str(caught.value)


def test_secrets_do_not_show_when_settings_are_printed(monkeypatch: pytest.MonkeyPatch) -> None:
    """str, repr and JSON of the settings hide every secret."""
    for name in ("DATABASE__URL", "DATABASE__READ_URL", "BROKER__URL", "API__OPERATOR_TOKEN"):
        monkeypatch.setenv(f"QYTET_{name}", "hunter2")
    known = settings.load()
    assert known.api.operator_token.get_secret_value() == "hunter2"
    for text in (str(known), repr(known), known.model_dump_json(), str(known.model_dump())):
        assert "hunter2" not in text


def test_settings_cannot_be_changed() -> None:
    """What a program started with is what it runs with."""
    with pytest.raises(ValueError, match="frozen"):
        settings.load().api.port = 1  # type: ignore[misc]


def _logged(monkeypatch: pytest.MonkeyPatch, **fields: object) -> dict[str, object]:
    early = log.get("early")  # as modules do, before anything is configured
    stream = io.StringIO()
    monkeypatch.setattr(sys, "stderr", stream)
    log.configure(LogSettings(level="info", format="json"))
    early.debug("too quiet")
    early.info("said", **fields)
    lines = stream.getvalue().splitlines()
    assert len(lines) == 1
    found: dict[str, object] = json.loads(lines[0])
    return found


def test_log_lines_mask_what_is_named_like_a_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    """A field whose name sounds secret is blanked, also in a logger that was made before configuring."""
    line = _logged(monkeypatch, db_password="hunter2", Token="hunter2", device="a", url=SecretStr("hunter2"))
    assert "hunter2" not in json.dumps(line)
    assert (line["component"], line["event"], line["device"]) == ("early", "said", "a")


def test_albanian_stays_readable_in_logs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Letters beyond ASCII are written as they are."""
    assert _logged(monkeypatch, city="Korçë")["city"] == "Korçë"


def test_log_lines_mask_passwords_in_urls(monkeypatch: pytest.MonkeyPatch) -> None:
    """A URL keeps its host and loses its password, in any field and in the text of the event's own fields."""
    why = "cannot reach postgresql://qytet:hunter2@database:5432/qytet now"
    line = _logged(monkeypatch, why=why, page="http://127.0.0.1:8100/")
    assert line["why"] == "cannot reach postgresql://qytet:***@database:5432/qytet now"
    assert line["page"] == "http://127.0.0.1:8100/"
