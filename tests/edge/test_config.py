"""The configuration: one file, checked whole, every mistake named; secrets never in it."""

import hashlib
import json
import os
import tomllib
from pathlib import Path

import pytest
from pydantic import BaseModel
from typer.testing import CliRunner

from qytet.errors import SettingsError
from qytet_edge import config
from qytet_edge.commands import app
from qytet_edge.inbox import kinds
from qytet_edge.toml import to_toml

GOOD = """
[gateway]
city = "tirana"
name = "gw-1"
data_dir = "data"
[uplink]
url = "mqtt://127.0.0.1:1883"
"""
NODES = """
[[source]]
kind = "nodes"
name = "street"
devices = ["tirana-air-*"]
"""
PAGE = """
[[source]]
kind = "http"
name = "page"
url = "https://station.example/now"
column = [{ column = "t", key = "air_temperature" }]
"""
RULE = """
[[rule]]
name = "r"
when = [{ key = "pm2_5", above = 1 }]
then = { output = "lamp", value = 1 }
fail_safe = "keep"
"""
LAMP = """
[[output]]
kind = "pwm"
name = "lamp"
pin = 18
reports = "lamp_dimming_level"
"""


@pytest.fixture(autouse=True)
def _alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing of the environment decides."""
    for name in ("QYTET_EDGE_CONFIG", "CREDENTIALS_DIRECTORY"):
        monkeypatch.delenv(name, raising=False)


def _wrong(text: str) -> str:
    with pytest.raises(SettingsError) as raised:
        config.load(text, Path("gw.toml"))
    return str(raised.value)


class TestMistakes:
    """Each is named with its table, its field and what is expected."""

    @pytest.mark.parametrize(
        ("text", "said"),
        [
            ("[gateway", "is not TOML"),
            (GOOD.replace('name = "gw-1"', ""), "[gateway], name: is missing (Its own device name"),
            (GOOD.replace("gw-1", "GW 1"), "[gateway], name: String should match"),
            (GOOD + "speed = 1", "[uplink], speed: there is no such field; known are url, user"),
            (GOOD + "[uplinks]\na = 1", "[uplinks]: there is no such table; known are clock, gateway"),
            (GOOD + 'password = "x"', "[uplink], password: secrets do not belong into this file"),
            (GOOD.replace("127.0.0.1", "broker.example.org"), "url is plain mqtt to another machine"),
            (GOOD.replace("127.0.0.1", "127.evil.example"), "url is plain mqtt to another machine"),
            (GOOD + NODES + 'url = "mqtt://10.0.0.9"', "url is plain mqtt to another machine"),
            (GOOD + PAGE.replace("https", "HTTP"), "url is plain http to another machine"),
            (GOOD + PAGE.replace("https://station", "http://127.station"), "url is plain http"),
            (GOOD + "[spool]\nmax_age_days = inf", "inf is no number that could be meant"),
            (GOOD + "[spool]\nmax_age_days = 1e999", "1e999 is no number that could be meant"),
            (GOOD + "x = " + "[" * 5000, "nested too deeply"),
            (GOOD + "#" * 1_000_000, "characters"),
            (GOOD.replace("mqtt://", "http://"), "url must be mqtts://host:port"),
            (GOOD.replace("127", "u:p@127"), "url must not hold user or password"),
            (
                GOOD + "[spool]\nmax_mb = 0",
                "[spool], max_mb: Input should be greater than or equal to 1 (found 0)",
            ),
            (GOOD + "[source]\nkind = 'nodes'", "[source]: write it with double brackets, [[source]]"),
            (GOOD + "[[source]]\nname = 'x'", "[[source]] x: kind is missing; one of contact, file"),
            (GOOD + "[[source]]\nkind = 'nose'", "[[source]] number 1, kind: There is no kind 'nose'"),
            (GOOD + NODES + NODES, "[[source]] street: 2 sources bear this name"),
            (GOOD + NODES.replace("street", "rules"), "the gateway itself uses this name"),
            (GOOD + NODES + "device = 1", "[[source]] street, device: there is no such field"),
            (GOOD + RULE, "[[rule]] r, then.output: there is no output 'lamp'; known: none"),
            (
                GOOD + LAMP.replace("lamp_dimming_level", "lamp_dim"),
                "[[output]] lamp, reports: the catalogue has no",
            ),
            (
                GOOD.replace("[uplink]", "timezone = 'Mars/X'\n[uplink]"),
                "timezone: there is no time zone 'Mars/X'",
            ),
            (GOOD + "[[rule]]\nname = 'x'", "[[rule]] x, "),
        ],
    )
    def test_is_named(self, text: str, said: str) -> None:
        """A mistake is told with its table and field, in words that say what is expected."""
        assert said in _wrong(text)

    def test_all_are_named_at_once(self) -> None:
        """One look shows every mistake of the file, not the first."""
        said = _wrong(GOOD.replace("gw-1", "GW") + "speed = 1\n[spool]\nmax_mb = 0\n[[source]]\nkind = 'x'\n")
        assert said.count("\n") == 4

    def test_secrets_are_never_shown(self) -> None:
        """A password that somebody wrote into the file does not appear in the message about it."""
        for text in (
            GOOD + 'password = "geheim"',
            GOOD.replace("127", "u:geheim@127"),
            GOOD + 'password_file = ["geheim"]',
            GOOD + NODES + 'url = "mqtt://u:geheim@127.0.0.1"',
            GOOD + PAGE.replace("station", "u:geheim@station"),
        ):
            assert "geheim" not in _wrong(text)

    def test_missing_file(self, tmp_path: Path) -> None:
        """A file that is not there is told with what to do."""
        with pytest.raises(SettingsError, match=r"cannot be read.*qytet edge config sample"):
            config.read(tmp_path / "none.toml")


class TestGood:
    """What a right file gives."""

    def test_defaults_and_paths(self, tmp_path: Path) -> None:
        """Tables that are left out have their defaults; relative paths begin at the file."""
        path = tmp_path / "gw.toml"
        path.write_text(GOOD + NODES)
        found = config.read(path)
        assert found.data_dir == tmp_path / "data"
        assert found.spool.commit_ms == 250
        assert [source.name for source in found.sources] == ["street"]
        assert found.context().path(Path("maps/x.toml")) == tmp_path / "maps/x.toml"

    def test_what_is_shown_reads_back(self, tmp_path: Path) -> None:
        """`config show` prints TOML that means the same."""
        path = tmp_path / "gw.toml"
        first = config.load(config.sample().replace("#: ", ""), path)
        again = config.load(to_toml(first.plain()), path)
        assert again == first

    def test_toml_reads_back(self) -> None:
        """Whatever values a table holds, the written TOML gives them back."""
        value = {
            "a": 1,
            "text": 'quote " backslash \\ newline \n tab \t delete \x7f é',
            "odd key": True,
            "list": [1.5, 2.0],
            "t": {"u": {"v": [{"w": 1, "x": {"y": "z"}}, {"w": 2}]}, "empty": []},
            "inline": [[{"a": 1}]],
        }
        assert tomllib.loads(to_toml(value)) == value

    def test_password(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """The broker's password is the first line of the named file, else systemd's credential, else none."""
        path = tmp_path / "gw.toml"
        plain = config.load(GOOD, path)
        assert config.password(plain) == ""
        (tmp_path / config.CREDENTIAL).write_text("from-systemd\n")
        monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
        assert config.password(plain) == "from-systemd"
        (tmp_path / "secret").write_text("from-file\nsecond line\n")
        named = config.load(GOOD + 'password_file = "secret"', path)
        assert config.password(named) == "from-file"
        (tmp_path / "secret").unlink()
        with pytest.raises(SettingsError, match="cannot be read from"):
            config.password(named)


def test_every_field_is_described() -> None:
    """Each field of each table says what it is, so that the reference can be made from it."""
    silent = [
        f"{name}.{field}"
        for name, section in config.SECTIONS.items()
        for field, info in section.model_fields.items()
        if not info.description
    ]
    assert silent == []


@pytest.mark.parametrize(
    ("table", "kind"),
    [("source", kind) for kind in kinds.SOURCES] + [("output", kind) for kind in kinds.OUTPUTS],
)
def test_every_kind_has_a_described_model(table: str, kind: str) -> None:
    """Each kind has a module that offers its model, of which every field is described, and `create`."""
    known = kinds.SOURCES if table == "source" else kinds.OUTPUTS
    module = kinds.load(known, kind)
    assert callable(module.create)
    assert _silent(kinds.model(known, kind), kind) == []


def _silent(model: type[BaseModel], place: str) -> list[str]:
    """The fields that say nothing; a kind says what it is by its name."""
    fields = model.model_fields.items()
    return [f"{place}.{name}" for name, info in fields if not info.description and name != "kind"]


def test_sample_is_right(tmp_path: Path) -> None:
    """The sample that the program ships is right as it stands, and with every example in it switched on."""
    path = tmp_path / "gw.toml"
    assert config.load(config.sample(), path).gateway.city == "tirana"
    everything = config.load(config.sample().replace("#: ", ""), path)
    assert {source.kind for source in everything.sources} == set(kinds.SOURCES)  # type: ignore[attr-defined]
    assert {output.kind for output in everything.outputs} == set(kinds.OUTPUTS)  # type: ignore[attr-defined]
    assert everything.rules


def test_sample_is_deployed() -> None:
    """The file beside the units is the very one that the program ships."""
    deployed = Path(__file__).parents[2] / "edge" / "deploy" / "qytet-edge.toml"
    assert deployed.read_text(encoding="utf-8") == config.sample()


class TestCommands:
    """`qytet edge config`."""

    def test_check_and_show(self, tmp_path: Path) -> None:
        """A right file is said to be right, and shown with its defaults, also as JSON."""
        path = tmp_path / "gw.toml"
        path.write_text(GOOD + NODES)
        given = ["--config", str(path)]
        run = CliRunner().invoke
        checked = run(app, ["config", "check", *given])
        assert checked.exit_code == 0
        assert "is right: 1 sources, 0 outputs, 0 rules" in checked.output
        assert json.loads(run(app, ["config", "check", "--json", *given]).output)["sources"] == 1
        assert tomllib.loads(run(app, ["config", "show", *given]).output)["gateway"]["name"] == "gw-1"
        assert json.loads(run(app, ["config", "show", "--json", *given]).output)["spool"]["max_mb"] == 2048

    def test_check_looks_at_maps(self, tmp_path: Path) -> None:
        """`config check` also finds what only the plug-in knows: here a register map that does not exist."""
        path = tmp_path / "gw.toml"
        bus = "[[source]]\nkind='modbus-tcp'\nname='bus'\nhost='127.0.0.1'\nunit=[{address=1, map='none'}]\n"
        path.write_text(GOOD + bus)
        assert config.read(path).digest == hashlib.sha256(path.read_bytes()).hexdigest()
        with pytest.raises(SettingsError, match=r"\[\[source\]\] bus: .*none"):
            config.read_and_try(path)

    def test_doctor_names_a_wrong_file(self, tmp_path: Path) -> None:
        """`doctor` does not stumble over a configuration that is wrong: that is its finding, and exit code 1."""
        path = tmp_path / "gw.toml"
        path.write_text(GOOD + "speed = 1")
        told = CliRunner().invoke(app, ["doctor", "--json", "--config", str(path)])
        assert told.exit_code == 1
        [finding] = json.loads(told.output)["findings"]
        assert finding["state"] == "problem"
        assert "[uplink], speed" in finding["what"]

    def test_sample(self) -> None:
        """`config sample` prints the shipped file byte for byte."""
        assert CliRunner().invoke(app, ["config", "sample"]).output == config.sample()

    def test_environment_names_the_file(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """QYTET_EDGE_CONFIG stands in for --config, which wins over it."""
        monkeypatch.setenv("QYTET_EDGE_CONFIG", str(tmp_path / "a"))
        assert config.path_in_force() == tmp_path / "a"
        assert config.path_in_force(tmp_path / "b") == tmp_path / "b"
        assert os.environ["QYTET_EDGE_CONFIG"]
