"""Dead letters are seen, shown and tried again: once what stood in the way is gone, everything is stored once."""

import base64
import json
import os
import subprocess
import sys

import pytest

from qytet.db.migrate import connect
from tests.ingest.rig import NOW, Rig, hist, obs, register
from tests.ingest.waiting import eventually


@pytest.fixture
def command(plain_url, tmp_path):
    """Runs `qytet` on the database; returns what it prints with --json."""

    def run(*arguments, code=0):
        environment = {**os.environ, "QYTET_DATABASE__URL": plain_url}
        done = subprocess.run(
            [sys.executable, "-m", "qytet", *arguments, "--json"],
            env=environment, capture_output=True, text=True, cwd=tmp_path, timeout=60, check=False,
        )  # fmt: skip
        assert done.returncode == code, done.stderr
        return json.loads(done.stdout or done.stderr)

    return run


def test_adopt_then_replay(plain_rig, command):
    """A stranger's messages are listed and shown byte for byte; adopted and replayed they are stored, and only once."""
    name = f"{plain_rig.device}-stranger"
    stranger = Rig(plain_rig.db, plain_rig.device)
    stranger.device = name
    raw = [obs(n, NOW + n, {"pm2_5": float(n), "no2": 1.0}) for n in range(1, 4)]
    stranger.store(*raw, hist([[4, NOW + 4, 9, "ntp", {"pm10": 4.0}]]), b"\xff{")
    found = command("deadletter", "list", "--device", name)
    assert [(row["reason"], row["letters"]) for row in found["summary"]] == [("unknown_device", 5)]
    ident = min(letter["dead_letter_id"] for letter in found["letters"])
    assert base64.b64decode(command("deadletter", "show", str(ident))["payload_base64"]) == raw[0]
    adopted = command("device", "adopt", name, "--city", "tirana", "--site", "sheshi", "--profile", "air")
    assert adopted["datastreams"] == ["no2", "pm10", "pm2_5"]
    done = command("deadletter", "replay", "--device", name)
    assert done == {"letters": 5, "readings_stored": 7, "outcomes": {"stored": 4, "not_utf8": 1}}
    again = command("deadletter", "replay", "--device", name)
    assert again == {"letters": 1, "readings_stored": 0, "outcomes": {"not_utf8": 1}}
    late = Rig(plain_rig.db, name)
    assert len(late.values()) == 7
    assert late.ledger()["stored_mark"] == 4
    late.store(*raw)
    assert late.ledger()["duplicates"] == 3
    assert len(late.values()) == 7


def test_a_letter_that_does_not_exist(command):
    """A wrong number gets an error that says what to do."""
    assert "deadletter list" in command("deadletter", "show", "999999999", code=1)["do"]


def test_a_collision_is_not_tried_again(plain_rig, command):
    """Where the first record stands, replaying changes nothing, and the letter stays to be read."""
    plain_rig.store(obs(1, NOW, {"pm2_5": 1.0}), obs(2, NOW, {"pm2_5": 2.0}))
    done = command("deadletter", "replay", "--device", plain_rig.device)
    assert done["letters"] == 0
    assert plain_rig.reasons() == ["collision"]
    assert plain_rig.values() == [("pm2_5", 0, 1.0)]


def test_replay_beside_a_worker_that_receives_the_same(plain_rig, plain_url, command):
    """While a worker's memory does not know of a replay, the device resends: stored once, and marked."""
    rig = plain_rig
    record = obs(1, NOW, {"pm4": 1.0})
    rig.store(record, obs(2, NOW + 1, {"pm2_5": 2.0}))
    assert rig.reasons() == ["unknown_datastream"]
    with connect(plain_url) as db:
        register(db, rig.device, datastreams=["pm4"])
    assert command("deadletter", "replay", "--device", rig.device)["readings_stored"] == 1
    before = rig.boots
    rig.restart()
    for (
        device
    ) in rig.registry.devices.values():  # the worker knows the datastream, and its memory of boots is old
        device.boots.clear()
    rig.boots = before
    rig.store(record, obs(2, NOW + 1, {"pm2_5": 2.0}))
    assert rig.values() == [("pm4", 0, 1.0), ("pm2_5", 1, 2.0)]
    assert rig.reasons() == ["unknown_datastream"]
    assert rig.boot().mark() == 2


def test_eventually_fails_in_time():
    """The helper that waits does not wait for ever."""
    with pytest.raises(AssertionError, match="never"):
        eventually(lambda: False, "never", seconds=0.05)
