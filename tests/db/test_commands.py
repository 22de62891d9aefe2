"""`qytet db` and `qytet device` as operators use them: exit codes, text, JSON, and errors that say what to do."""

import contextlib
import hashlib
import io
import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest
import typer
from typer.testing import CliRunner

from qytet import cli, settings
from qytet.db import commands, control_commands, device_commands
from qytet.db.migrate import connect
from qytet.db.registry import parse, register
from qytet.db.where import embedded_url
from qytet.errors import QytetError
from tests.db.support import description

PROGRAM = typer.Typer()
PROGRAM.add_typer(commands.app, name="db")
PROGRAM.add_typer(device_commands.app, name="device")
PROGRAM.add_typer(control_commands.app, name="command")


@pytest.fixture
def qytet(postgres_url, tmp_path, monkeypatch):
    """Runs `qytet` in an empty folder against an empty database, in this process; returns how it ended."""

    def run(*arguments, stdin="", url=postgres_url):
        monkeypatch.chdir(tmp_path)
        monkeypatch.setenv("QYTET_DATABASE__URL", url)
        monkeypatch.setattr(sys, "argv", ["qytet", *arguments])
        settings.load.cache_clear()
        done = CliRunner().invoke(PROGRAM, arguments, input=stdin, env={"COLUMNS": "200"})
        stderr = io.StringIO(done.stderr)
        if isinstance(done.exception, QytetError):
            with contextlib.redirect_stderr(stderr):
                cli.show(done.exception)
        elif done.exception is not None and not isinstance(done.exception, SystemExit):
            raise done.exception
        return subprocess.CompletedProcess(arguments, done.exit_code, done.stdout, stderr.getvalue())

    yield run
    settings.load.cache_clear()


def facts(done):
    """The JSON that a command printed, after it ended well."""
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.fixture
def migrated(qytet):
    facts(qytet("db", "migrate", "--json"))
    facts(qytet("device", "register", "-", "--json", stdin=json.dumps(description("air-1"))))
    return qytet


def dead_letter(url, topic, payload, reason="unknown_device"):
    with connect(url) as db:
        db.execute(
            "insert into store.dead_letter (digest, topic, payload, reason, device) values (%s, %s, %s, %s, %s)",
            (hashlib.sha256(payload).digest(), topic, payload, reason, topic.split("/")[-2]),
        )


def test_migrate_status_and_again(qytet):
    """Status names what is pending, migrate applies it, and a second migrate has nothing to do."""
    before = facts(qytet("db", "status", "--json"))
    done = facts(qytet("db", "migrate", "--json"))
    assert (before["applied"], before["contents"]) == ([], None)
    assert before["pending"] == done["applied_now"] == done["applied"] != []
    assert facts(qytet("db", "migrate", "--json"))["applied_now"] == []
    after = facts(qytet("db", "status", "--json"))
    assert (after["pending"], after["tier"], after["retention"]) == ([], "plain", "forever")
    assert after["contents"]["devices"] == 0
    assert "readings are kept for ever" in qytet("db", "status").stdout


def test_commands_before_migrate_say_what_to_do(qytet):
    """On an empty database the error names the command that helps; with --json it is JSON."""
    done = qytet("device", "list", "--json")
    assert done.returncode == 1
    assert json.loads(done.stderr)["do"] == "Run `qytet db migrate`."


def test_no_database_says_what_to_do(qytet):
    """Without a URL and without an embedded server the error names both ways out, and no traceback."""
    done = qytet("db", "status", url="")
    assert done.returncode == 1
    assert "QYTET_DATABASE__URL" in done.stderr
    assert "Traceback" not in done.stderr


def test_the_program_shows_no_password(tmp_path):
    """The installed program tells that a database cannot be reached without the URL's password or a traceback."""
    done = subprocess.run(
        [sys.executable, "-m", "qytet", "db", "status"],
        env={**os.environ, "QYTET_DATABASE__URL": "postgresql://someone:hunter2@127.0.0.1:1/nothing"},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 1
    assert "cannot be reached" in done.stderr
    assert "hunter2" not in done.stderr + done.stdout
    assert "Traceback" not in done.stderr


def test_the_embedded_server_is_found(postgres_server):
    """The URL that is made of the data folder alone opens the running server."""
    with connect(embedded_url(postgres_server.data_dir, "postgres")) as db:
        assert db.execute("select 1").fetchone() == (1,)


def test_retention_and_maintain(migrated):
    """Retention is set, shown, taken back; nonsense is refused and changes nothing; maintain runs."""
    assert facts(migrated("db", "retention", "2 years", "--json"))["retention"] == "2 years"
    refused = migrated("db", "retention", "soon")
    assert refused.returncode == 1
    assert "is not an interval" in refused.stderr
    assert facts(migrated("db", "retention", "--json"))["retention"] == "2 years"
    assert facts(migrated("db", "maintain", "--json"))["dropped"] == 0
    assert facts(migrated("db", "retention", "forever", "--json"))["retention"] == "forever"


def test_register_from_file_list_and_show(migrated, tmp_path):
    """A description from a file is registered; list and show say what was described."""
    (tmp_path / "fleet.json").write_text(json.dumps(description("air-2")), encoding="utf-8")
    counts = facts(migrated("device", "register", "fleet.json", "--json"))
    assert counts == {"cities": 1, "sites": 1, "devices": 1, "datastreams": 2}
    listed = facts(migrated("device", "list", "--json"))
    assert [row["device"] for row in listed] == ["air-1", "air-2"]
    assert facts(migrated("device", "list", "--city", "korce", "--json")) == []
    shown = facts(migrated("device", "show", "air-2", "--json"))
    assert [stream["key"] for stream in shown["datastreams"]] == ["no2", "pm2_5"]
    assert "Sheshi Skënderbej" in migrated("device", "show", "air-2").stdout


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", '{"device": []}', '{"devices": [{"device": "x"}]}', json.dumps(description("Not A Slug")),
     json.dumps(description("x", datastreams=["nonsense"])), json.dumps(description("x", valid_from="yesterdayish"))],
)  # fmt: skip
def test_a_wrong_description_is_refused(migrated, text):
    """Bad input gets an error with its reason, no traceback, and registers nothing."""
    done = migrated("device", "register", "-", stdin=text)
    assert done.returncode == 1
    assert "Why:" in done.stderr
    assert "Traceback" not in done.stderr
    assert len(facts(migrated("device", "list", "--json"))) == 1


def test_adopt_learns_from_dead_letters(migrated, postgres_url):
    """An unknown device is registered with what its messages measure, and the way to replay them is told."""
    row = b'{"v":1,"boot":"9f3a01c2","r":[[1,null,2,"none",{"pm10":1,"what":2}],[2,null,3,"none",{"co2:in":4}]]}'
    dead_letter(postgres_url, "qytet/v1/tirana/gw-1/via/new-1/obs", b'{"v":1,"m":{"pm2_5":1}}')
    dead_letter(postgres_url, "qytet/v1/tirana/gw-1/via/new-1/hist", row)
    dead_letter(postgres_url, "qytet/v1/tirana/gw-1/via/new-1/obs", b"\x80 not even text")
    register_gateway = description("gw-1", datastreams=[])
    with connect(postgres_url) as db:
        register(db, parse(register_gateway))
    where = ("--city", "tirana", "--site", "sheshi", "--profile", "air")
    hint = migrated("device", "show", "new-1")
    assert "qytet device adopt new-1" in hint.stderr
    done = facts(migrated("device", "adopt", "new-1", *where, "--json"))
    assert done["datastreams"] == ["co2:in", "pm10", "pm2_5"]
    assert (done["gateway"], done["waiting"]) == ("gw-1", 3)
    assert done["replay"].startswith("qytet deadletter replay")
    again = migrated("device", "adopt", "new-1", *where)
    assert again.returncode == 1
    assert "registered already" in again.stderr


def test_adopt_refuses_what_nobody_said(migrated):
    """A device that no dead letter names is not invented."""
    done = migrated("device", "adopt", "ghost", "--city", "tirana", "--site", "sheshi", "--profile", "air")
    assert done.returncode == 1
    assert "No dead letter names" in done.stderr


def test_retire_ends_service_once(migrated):
    """Retiring closes the device and its datastreams at that instant; a second time is refused."""
    for wrong in ("noon", "2026-01-01T00:00", "2001-01-01T00:00Z"):
        assert migrated("device", "retire", "air-1", "--at", wrong).returncode == 1
    done = facts(migrated("device", "retire", "air-1", "--at", "2026-01-01T01:00+01:00", "--json"))
    assert done == {"device": "air-1", "valid_to": "2026-01-01T00:00:00Z"}
    shown = facts(migrated("device", "show", "air-1", "--json"))
    ends = {shown["valid_to"], *(stream["valid_to"] for stream in shown["datastreams"])}
    assert ends == {"2026-01-01T00:00:00Z"}
    again = migrated("device", "retire", "air-1")
    assert again.returncode == 1
    assert "was retired at" in again.stderr
    assert migrated("device", "retire", "ghost").returncode == 1


def test_asking_a_device(migrated):
    """A command is asked, listed, shown and cancelled by its id; its arguments keep their types."""
    asked = facts(
        migrated(
            "command", "send", "air-1", "set_interval", "--arg", "seconds=30", "--arg", "why=dust", "--json"
        )
    )
    assert (asked["state"], asked["args"]) == ("waiting", {"seconds": 30, "why": "dust"})
    ident = asked["command_id"]
    assert [row["command_id"] for row in facts(migrated("command", "list", "--open", "--json"))] == [ident]
    assert ident in migrated("command", "list").stdout
    assert facts(migrated("command", "show", ident, "--json"))["device"] == "air-1"
    assert facts(migrated("command", "cancel", ident, "--json"))["state"] == "cancelled"
    assert facts(migrated("command", "list", "--open", "--json")) == []


def test_waiting_for_an_answer(migrated, postgres_url):
    """`--wait` returns as soon as the device has answered; what failed is an error that says why."""
    with connect(postgres_url) as connection, ThreadPoolExecutor(1) as pool:
        connection.execute("listen qytet_command")
        asking = pool.submit(migrated, "command", "send", "air-1", "reboot", "--wait", "60")
        next(connection.notifies(timeout=60, stop_after=1))
        connection.execute("update store.command set state = 'failed', why = 'busy', answered_at = now()")
        done = asking.result(60)
    assert done.returncode == 1
    assert "state: failed" in done.stdout
    assert "busy" in done.stderr


def test_asking_wrongly(migrated):
    """An argument without a value and a device that nobody knows are errors that say what to do."""
    done = migrated("command", "send", "air-1", "reboot", "--arg", "level")
    assert done.returncode == 1
    assert "KEY=VALUE" in done.stderr
    assert "qytet device list" in migrated("command", "send", "nobody", "reboot").stderr
