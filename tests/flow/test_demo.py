"""The promises of `make demo`: whole, accounted for, alone on its folder, and gone when it ends."""

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from qytet.db.where import embedded_url
from qytet.embedded.ports import LOOPBACK
from tests.flow.demo_process import SMALL, DemoProcess, await_none_left, environment, left_behind

_LATENCIES = ("publish_to_stored_ms", "publish_to_visible_ms", "publish_to_latest_ms")


@pytest.fixture(scope="module")
def root() -> Iterator[Path]:
    """A data folder that the runs of this module share, as a newcomer's runs do; removed by the command."""
    parent = Path(tempfile.mkdtemp(prefix="qytet demo "))
    parent.chmod(0o711)  # the database's user has to pass, when we are root
    folder = parent / ".qytet"
    try:
        yield folder
        assert _qytet(folder, "demo", "remove").returncode == 0
        assert not folder.exists()
    finally:
        shutil.rmtree(parent)


def test_a_run_ends_by_itself_with_every_reading_stored_once(root: Path) -> None:
    """A run of some seconds exits 0 with a whole account, nothing lost or duplicated, and no process left."""
    with DemoProcess(root, *SMALL, "--duration", "6") as demo:
        assert demo.end() == 0, demo.output
        found = demo.summary()
        assert json.loads(demo.output.splitlines()[-1]) == found
    assert found["ok"]
    assert found["problems"] == []
    assert found["lost"] == found["duplicated"] == found["dead_lettered"] == found["missing"] == 0
    assert found["devices"] == 9
    assert found["stored"] == found["expected"] == found["generated"] > 100
    assert found["records_marked_stored"] == found["records"] > 9
    for name in _LATENCIES:
        assert found[name]["count"] >= 1, name
        assert 0 < found[name]["p50"] <= found[name]["p95"] <= found[name]["p99"], name
    assert left_behind(root) == []


def test_ctrl_c_ends_in_order_and_others_are_told_who_is_there(root: Path, tmp_path: Path) -> None:
    """A second demo, a taken port and `demo remove` are refused with who is there; Ctrl-C then exits 0 and whole.

    The folder holds the readings of an earlier run, and only this run's are counted.
    """
    with DemoProcess(root, *SMALL) as demo:
        demo.await_up()
        port = demo.url.rstrip("/").rpartition(":")[2]
        second = _qytet(root, "demo", "run")
        other = _qytet(tmp_path / "other", "demo", "run", "--port", port)
        removal = _qytet(root, "demo", "remove")
        demo.await_stored(50)
        demo.await_word("0 dead letters")
        assert demo.interrupt() == 0, demo.output
        found = demo.summary()
    for refused in (second, removal):
        assert refused.returncode == 1
        assert "is running here already" in refused.stderr
        assert f"process {demo.process.pid}" in refused.stderr
        assert f"http://{LOOPBACK}:{port}/" in refused.stderr
    assert other.returncode == 1
    assert f"cannot listen on port {port}" in other.stderr
    assert not (tmp_path / "other" / "postgres").exists()
    assert found["stored"] == found["generated"] > 0
    assert found["lost"] == found["duplicated"] == 0
    assert left_behind(root) == []


def test_a_loss_and_a_duplicate_are_found(root: Path) -> None:
    """A row that vanishes, and one that no record explains, are counted, named, and make the exit code 1."""
    with DemoProcess(root, *SMALL) as demo:
        demo.await_up()
        demo.await_stored(50)
        with psycopg.connect(embedded_url(demo.folder.postgres), autocommit=True) as connection:
            gone = _one_of_this_run(connection)
            connection.execute(_ADD_ONE, gone)
        assert demo.interrupt(signal.SIGTERM) == 1, demo.output
        found = demo.summary()
    assert (found["lost"], found["duplicated"]) == (1, 1)
    assert found["stored"] == found["generated"] - 1
    assert not found["ok"]
    assert len(found["lost_examples"]) == 1
    assert left_behind(root) == []


def test_a_killed_demo_leaves_nothing_and_the_next_one_works(root: Path) -> None:
    """After SIGKILL every child dies with the demo (or at the next start), and the folder is as good as before."""
    with DemoProcess(root, *SMALL) as demo:
        demo.await_up()
        assert len(left_behind(root)) >= 6  # itself, database, broker, ingest, API, simulators
        demo.process.kill()
        demo.process.wait()
        await_none_left(root, 90)
    with DemoProcess(root, *SMALL) as demo:
        demo.await_up()
        demo.await_stored(20)
        assert demo.interrupt() == 0, demo.output
        assert demo.summary()["ok"]


def test_a_second_ctrl_c_ends_at_once(root: Path) -> None:
    """Two wishes to stop end everything within seconds, with exit code 130 and no process left behind.

    The simulators stand still, so the first wish alone would wait for them.
    """
    with DemoProcess(root, *SMALL) as demo:
        demo.await_up()
        demo.await_stored(1)
        (simulators,) = (one["pid"] for one in demo.folder.state()["children"] if one["name"] == "simulate")
        os.kill(simulators, signal.SIGSTOP)
        demo.process.send_signal(signal.SIGINT)
        demo.await_word("Stopping the devices")
        demo.process.send_signal(signal.SIGINT)
        assert demo.process.wait(90) == 130, demo.output
        await_none_left(root, 90)


def test_a_half_written_folder_is_explained() -> None:
    """A database that was copied in part is neither used nor destroyed: the message says what to do."""
    folder = Path(tempfile.mkdtemp(prefix="qytet-half-"))
    folder.chmod(0o711)
    try:
        cluster = folder / "postgres" / "cluster"
        cluster.mkdir(parents=True)
        (cluster / "base").mkdir()
        (folder / "postgres").chmod(0o711)
        done = _qytet(folder, "demo", "run")
        assert done.returncode == 1
        assert "is not a whole database" in done.stderr
        assert "make clean" in done.stderr
        assert "Traceback" not in done.stderr
        assert (cluster / "base").exists()
        assert left_behind(folder) == []
    finally:
        shutil.rmtree(folder)


def _qytet(root: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "qytet", *words],
        env=environment(root),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )


def _one_of_this_run(connection: "psycopg.Connection[Any]") -> tuple[Any, ...]:
    """Delete the reading after which ten more were stored, all of them from now on; returns it."""
    since, deadline = connection.execute("select clock_timestamp()").fetchone(), time.monotonic() + 90
    while True:
        gone = connection.execute(_DELETE_ONE, since).fetchone()
        if gone is not None:
            return tuple(gone)
        assert time.monotonic() < deadline, "no ten readings came"
        time.sleep(0.05)


_DELETE_ONE = """
delete from store.observation where (datastream_id, phenomenon_time) in (
    select datastream_id, phenomenon_time from store.observation where phenomenon_time >= %s
    order by phenomenon_time desc offset 10 limit 1)
returning datastream_id, phenomenon_time, value
"""
# A microsecond later, which no device can say: its clock counts milliseconds.
_ADD_ONE = """
insert into store.observation (datastream_id, phenomenon_time, value, quality, time_quality)
values (%s, %s + interval '1 microsecond', %s, 1, 1)
"""
