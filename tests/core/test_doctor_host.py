"""Doctor on the host and the settings: each broken thing is found, weighed and comes with its remedy."""

import datetime as dt
import json
import os
import socket
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Self

import pytest
from typer.testing import CliRunner

from qytet import settings
from qytet.doctor import configuration, host, services
from qytet.doctor.commands import app
from qytet.doctor.context import Check, Context, Disk
from qytet.doctor.finding import Finding, State, ok, problem, warning, worst
from qytet.doctor.runner import run
from qytet.embedded.ports import free_port
from qytet.errors import InputError
from qytet.settings import Settings

GB = 1_000_000_000
ROOMY = Disk(free=50 * GB, total=100 * GB, free_inodes=900, total_inodes=1000)


@pytest.fixture(autouse=True)
def _alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """No settings but the test's own."""
    for name in [name for name in os.environ if name.startswith("QYTET_")]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    settings.load.cache_clear()
    yield
    settings.load.cache_clear()


@pytest.fixture
def context(tmp_path: Path) -> Context:
    """A host in good health."""
    return Context(
        Settings.model_validate({"data_dir": tmp_path / "data"}),
        now=lambda: dt.datetime(2026, 11, 22, 12, tzinfo=dt.UTC),
        disk=lambda _path: ROOMY,
    )


def _only(findings: list[Finding]) -> Finding:
    assert len(findings) == 1, findings
    return findings[0]


def _with(context: Context, **values: object) -> Context:
    return replace(
        context, settings=Settings.model_validate({"data_dir": context.settings.data_dir, **values})
    )


@pytest.mark.parametrize(
    ("disk", "state"),
    [
        (ROOMY, State.OK),
        (replace(ROOMY, free=4 * GB), State.WARNING),
        (replace(ROOMY, free=GB // 2), State.PROBLEM),
        (replace(ROOMY, free_inodes=1), State.PROBLEM),
        (replace(ROOMY, free_inodes=0, total_inodes=0), State.OK),
    ],
)
def test_disk_space(context: Context, disk: Disk, state: State) -> None:
    """Little space is a warning, almost none or no inodes a problem; file systems without inodes are well."""
    assert worst(host.disk(replace(context, disk=lambda _path: disk))) is state


@pytest.mark.parametrize("year", [1970, 2000, 2025, 2106])
def test_an_impossible_clock_is_a_problem(context: Context, year: int) -> None:
    """A clock before this program existed, or beyond 2100, is a problem whoever synchronised it."""
    now = dt.datetime(year, 1, 1, tzinfo=dt.UTC)
    found = _only(host.clock(replace(context, now=lambda: now)))
    assert (found.state, "timedatectl" in found.do) == (State.PROBLEM, True)


@pytest.mark.parametrize(("known", "state"), [(True, State.OK), (False, State.WARNING), (None, State.OK)])
def test_the_kernels_word_on_synchronisation_counts(
    context: Context, monkeypatch: pytest.MonkeyPatch, known: bool | None, state: State
) -> None:
    """Unsynchronised is a warning; where the kernel cannot be asked, that is said and nothing invented."""
    monkeypatch.setattr(host, "_synchronised", lambda: known)
    found = _only(host.clock(context))
    assert found.state is state
    assert ("cannot be told" in found.what) == (known is None)


def test_the_kernel_can_be_asked_without_changing_the_clock() -> None:
    """adjtimex answers yes, no or nothing; asking it needs no rights and raises nothing."""
    assert host._synchronised() in (True, False, None)


def test_an_unwritable_data_folder_is_a_problem(context: Context, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder in which we may not write is named, with whom to give it to."""
    context.settings.data_dir.mkdir()
    real = os.access
    monkeypatch.setattr(
        os, "access", lambda path, mode: not mode & os.W_OK and real(path, mode)
    )  # root may all
    found = _only(host.data_folder(context))
    assert found.state is State.PROBLEM
    assert "not writable" in found.what
    assert "chown" in found.do


def _missing(_folder: Path) -> None:
    pass


def _file(folder: Path) -> None:
    folder.write_text("")


def _private(folder: Path) -> None:
    folder.mkdir(mode=0o700)


def _open(folder: Path) -> None:
    folder.mkdir()
    folder.chmod(0o777)


@pytest.mark.parametrize(
    ("make", "state"),
    [(_missing, State.OK), (_private, State.OK), (_file, State.PROBLEM), (_open, State.PROBLEM)],
)
def test_the_data_folder(context: Context, make: Callable[[Path], None], state: State) -> None:
    """None yet, or a private one of ours, is well; a file in its place, or one open to all, is a problem."""
    make(context.settings.data_dir)
    assert _only(host.data_folder(context)).state is state


def test_missing_time_zone_data_is_a_problem(context: Context, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the zone of civil days no day begins at the right instant: it is found, and how to mend it."""
    assert _only(host.time_zone(context)).state is State.OK
    monkeypatch.setattr(host, "CIVIL_ZONE", "Europe/Tirana")
    found = _only(host.time_zone(context))
    assert (found.state, "tzdata" in found.do) == (State.PROBLEM, True)


def test_old_and_dated_pythons(context: Context, monkeypatch: pytest.MonkeyPatch) -> None:
    """A Python without security fixes is a warning once its day has come."""
    assert _only(host.python(context)).state is State.OK
    monkeypatch.setattr(
        host, "_ENDS", {(host.sys.version_info[0], host.sys.version_info[1]): dt.date(2026, 1, 1)}
    )
    assert _only(host.python(context)).state is State.WARNING


def test_a_missing_package_is_a_problem_and_a_missing_extra_is_told(
    context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A lacking dependency fails the check by name; an extra that is not installed is only mentioned."""
    real = host._installed
    monkeypatch.setattr(host, "_installed", lambda name: name != "structlog" and real(name))
    found = _only(host.packages(context))
    assert (found.state, "structlog" in found.what) == (State.PROBLEM, True)
    monkeypatch.setattr(host, "_installed", lambda name: name != "fastapi" and real(name))
    found = _only(host.packages(context))
    assert (found.state, "api" in found.what) == (State.OK, True)


class _Service:
    """A small HTTP server that answers every address alike."""

    def __init__(self, status: int, body: str) -> None:
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.send_response(status)
                self.end_headers()
                self.wfile.write(body.encode())

            def log_message(self, *_args: object) -> None:
                """Stay quiet."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = self.server.server_address[1]

    def __enter__(self) -> Self:
        self.thread = threading.Thread(target=self.server.serve_forever)
        self.thread.start()
        return self

    def __exit__(self, *_args: object) -> None:
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()


def test_ports_free_ours_and_taken(context: Context) -> None:
    """A free port and one on which our service answers are well; a stranger on it is a problem with its pid."""
    with _Service(200, "{}") as ours:
        found = host.ports(_with(context, api={"port": ours.port}, ingest={"http_port": free_port()}))
    assert [finding.state for finding in found] == [State.OK, State.OK]
    with _Service(404, "somebody else") as stranger:
        taken = stranger.port
        found = host.ports(_with(context, api={"port": taken}, ingest={"http_port": free_port()}))
    assert found[0].state is State.PROBLEM
    assert str(taken) in found[0].what
    assert "[api] port" in found[0].do


@pytest.mark.parametrize(
    ("status", "body", "state", "said"),
    [
        (200, "{}", State.OK, "ready"),
        (503, '{"broker": false, "database": true}', State.PROBLEM, "no broker"),
        (503, '{"detail": "The database cannot be reached."}', State.PROBLEM, "cannot be reached"),
        (500, "<html>", State.PROBLEM, "status 500"),
    ],
)
def test_a_services_own_word_is_passed_on(
    context: Context, status: int, body: str, state: State, said: str
) -> None:
    """Ready is well; what a service says it lacks is told."""
    with _Service(status, body) as service:
        found = _only(services.ingest(_with(context, ingest={"http_port": service.port})))
    assert (found.state, said in found.what) == (state, True)


def test_a_service_that_does_not_run_is_a_warning(context: Context) -> None:
    """Where nobody listens, the service may run elsewhere: a warning with the command that starts it."""
    found = _only(services.api(_with(context, api={"port": free_port()})))
    assert (found.state, "qytet api serve" in found.do) == (State.WARNING, True)


def test_a_stranger_on_a_services_port_is_no_fault_of_ours(context: Context) -> None:
    """A program that speaks something else there is told as that."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def greet() -> None:
            line, _ = listener.accept()
            with line:
                line.recv(1)
                line.sendall(b"SSH-2.0-other\r\n")

        stranger = threading.Thread(target=greet)
        stranger.start()
        found = _only(services.api(_with(context, api={"port": listener.getsockname()[1]})))
        stranger.join()
    assert (found.state, "another program" in found.what) == (State.PROBLEM, True)


def test_an_api_in_the_open_without_token_is_a_problem(context: Context) -> None:
    """Listening beyond loopback needs a token, and a short one is a warning."""
    assert worst(configuration.exposure(context)) is State.OK
    assert worst(configuration.exposure(_with(context, api={"host": "0.0.0.0"}))) is State.PROBLEM
    short = {"host": "0.0.0.0", "operator_token": "short"}
    assert worst(configuration.exposure(_with(context, api=short))) is State.WARNING


def test_a_settings_file_with_secrets_that_others_can_read_is_found(context: Context, tmp_path: Path) -> None:
    """A world-readable qytet.toml with a URL in it is a warning; private, it is not."""
    file = tmp_path / "qytet.toml"
    file.write_text('[database]\nurl = "postgresql://u:hunter2@h/d"\n')
    file.chmod(0o644)
    findings = configuration.origin(context)
    assert worst(findings) is State.WARNING
    assert not any("hunter2" in finding.what + finding.do for finding in findings)
    file.chmod(0o600)
    assert worst(configuration.origin(context)) is State.OK


def test_a_check_that_hangs_or_breaks_is_a_finding(context: Context) -> None:
    """One that never ends is given up after its limit, one that raises is told, and the others still count."""
    release = threading.Event()

    def hang(_context: Context) -> list[Finding]:
        release.wait()
        return [ok("late")]

    def crash(_context: Context) -> list[Finding]:
        raise ZeroDivisionError("oops")

    def known(_context: Context) -> list[Finding]:
        raise InputError("It is so.", do="Mend it.")

    checks = [
        Check("g", "hangs", hang, timeout=0.05),
        Check("g", "breaks", crash),
        Check("g", "says", known),
        Check("g", "well", lambda _context: [ok("fine")]),
    ]
    try:
        findings = run(checks, context)
    finally:
        release.set()
    assert [finding.name for finding in findings] == ["hangs", "breaks", "says", "well"]
    assert [finding.state for finding in findings] == [State.PROBLEM] * 3 + [State.OK]
    assert "no result" in findings[0].what
    assert findings[2].do == "Mend it."


def test_checks_run_side_by_side(context: Context) -> None:
    """Two checks that wait for each other both end: none waits for its turn."""
    barrier = threading.Barrier(2)

    def meet(_context: Context) -> list[Finding]:
        barrier.wait(60)
        return [ok("met")]

    assert worst(run([Check("g", "one", meet), Check("g", "two", meet)], context)) is State.OK


def test_whatever_is_not_well_says_what_to_do() -> None:
    """The order of states is fixed, and a finding's JSON carries its remedy."""
    assert worst([ok("a"), warning("b", "c"), problem("d", "e")]) is State.PROBLEM
    assert worst([]) is State.OK
    assert problem("d", "e").as_json()["do"] == "e"
    assert "do" not in ok("a").as_json()


def test_the_command_prints_json_and_fails_on_problems(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """--json is one object with every finding; a problem makes the exit code 1, its absence 0."""
    monkeypatch.setenv("QYTET_DATA_DIR", str(tmp_path / "data"))
    well = CliRunner().invoke(app, ["--only", "settings", "--json"])
    assert (well.exit_code, json.loads(well.stdout)["state"]) == (0, "ok")
    monkeypatch.setenv("QYTET_API__HOST", "0.0.0.0")
    settings.load.cache_clear()
    ill = CliRunner().invoke(app, ["--only", "settings", "--json"])
    document = json.loads(ill.stdout)
    assert (ill.exit_code, document["state"]) == (1, "problem")
    assert {finding["group"] for finding in document["findings"]} == {"settings"}


def test_wrong_settings_are_a_finding_without_their_values(monkeypatch: pytest.MonkeyPatch) -> None:
    """With settings that cannot be read doctor says which, never what was in them."""
    monkeypatch.setenv("QYTET_DATABASE__POOL_SIZE", "hunter2")
    result = CliRunner().invoke(app, [])
    assert result.exit_code == 1
    assert "database.pool_size" in result.stdout
    assert "hunter2" not in result.output
