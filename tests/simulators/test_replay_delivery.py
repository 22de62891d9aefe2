"""Replay over a real broker to a platform in small: everything marked, resumed, repeated, cut and live."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from qytet import cli
from qytet.embedded import EmbeddedNats
from qytet.errors import InputError, ServerError
from qytet_simulators.device import Address
from qytet_simulators.replay import Mapping, commands, expected, load, repeated
from qytet_simulators.replay.account import Sent
from qytet_simulators.replay.recording import EVER, Window, opened
from qytet_simulators.replay.run import Live, Orders, Replay
from qytet_simulators.replay.state import State
from tests.simulators.replay_support import Platform, recordings, small

pytestmark = pytest.mark.servers

DAY = "".join(f"2026-01-{1 + hour // 24:02}T{hour % 24:02}:00,{hour}\n" for hour in range(600))


def deliver(
    mapping: Mapping,
    data: Path,
    server: EmbeddedNats,
    *,
    window: Window = EVER,
    live: Live | None = None,
    state: Path | None = None,
    patience: float = 60.0,
    **more: Any,
) -> Sent:
    """Replay and return the account of what was sent."""
    address = Address.parse(server.url("simulator"))
    with opened(mapping, data, window) as recording:
        kept = State(state, mapping.name, recording.identity, str(address)) if state else None
        return Replay(recording, Orders(address, live, patience=patience), kept, **more).run()


@pytest.fixture
def platform(private_nats: EmbeddedNats) -> Any:
    """A platform that marks what it keeps."""
    with Platform(private_nats.url("ingest")).running() as running:
        yield running


def test_every_value_arrives_and_is_marked(
    tmp_path: Path, private_nats: EmbeddedNats, platform: Platform
) -> None:
    """What arrives is what the oracle expects, value for value, and the account says that all is stored."""
    mapping = small(tmp_path, "time,T\n" + DAY)
    sent = deliver(mapping, tmp_path, private_nats)
    assert platform.values() == {(e.device, e.key, e.t_ms): e.value for e in expected(mapping, tmp_path)}
    assert (sent.sent, sent.stored, sent.not_confirmed) == (600, 600, 0)
    assert platform.births


def test_a_second_replay_says_the_same_records(
    tmp_path: Path, private_nats: EmbeddedNats, platform: Platform
) -> None:
    """Same boot, same numbers: the platform knows every one of them, and has nothing new."""
    mapping = small(tmp_path, "time,T\n" + DAY)
    deliver(mapping, tmp_path, private_nats)
    before = {place: dict(kept) for place, kept in platform.kept.items()}
    sent = deliver(mapping, tmp_path, private_nats)
    assert platform.kept == before
    assert sent.not_confirmed == 0
    assert platform.duplicates > 0


def test_a_repeated_instant_is_sent_and_said(
    tmp_path: Path, private_nats: EmbeddedNats, platform: Platform
) -> None:
    """Both records go out under numbers of their own; the account says how many the platform will refuse."""
    mapping = small(tmp_path, "time,T\n2026-01-01T00:00,1\n2026-01-01T00:00,2\n2026-01-01T01:00,3\n")
    sent = deliver(mapping, tmp_path, private_nats)
    [kept] = platform.kept.values()
    assert [kept[seq][4]["air_temperature"] for seq in (1, 2, 3)] == [1.0, 2.0, 3.0]
    assert (sent.repeated_records, sent.not_confirmed) == (1, 0)
    assert [value.value for value in repeated(mapping, tmp_path)] == [2.0]


def test_what_the_platform_loses_is_sent_again(tmp_path: Path, private_nats: EmbeddedNats) -> None:
    """A message that was acknowledged by the broker and lost behind it comes again until it is marked."""
    mapping = small(tmp_path, "time,T\n" + DAY)
    with Platform(private_nats.url("ingest"), deaf=lambda count: count == 2).running() as platform:
        sent = deliver(mapping, tmp_path, private_nats)
    assert (sent.not_confirmed, sent.stored) == (0, 600)
    assert sent.resent > 0
    assert len(platform.values()) == 600


def test_without_marks_nothing_counts_as_stored(tmp_path: Path, private_nats: EmbeddedNats) -> None:
    """The broker's word is not enough: with nobody behind it every record is not confirmed."""
    mapping = small(tmp_path, "time,T\n" + DAY)
    sent = deliver(mapping, tmp_path, private_nats, patience=1.0)
    assert (sent.sent, sent.stored, sent.not_confirmed) == (600, 0, 600)


def test_an_interrupted_replay_goes_on(
    tmp_path: Path, private_nats: EmbeddedNats, platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the first run saw marked is not sent again; both together have sent everything; then it is forgotten."""
    monkeypatch.setattr("qytet_simulators.replay.run.MAX_IN_HAND", 50)
    monkeypatch.setattr("qytet_simulators.replay.run.SERVE_EVERY", 10)
    mapping, state = small(tmp_path, "time,T\n" + DAY), tmp_path / "state"
    stored: list[int] = [0]

    def note(done: int, _all: int) -> None:
        stored[0] = done

    first = deliver(
        mapping, tmp_path, private_nats, state=state, stop=lambda: stored[0] >= 100, progress=note
    )
    assert first.interrupted
    assert 100 <= first.stored < 600
    assert first.not_confirmed == 600 - first.stored
    second = deliver(mapping, tmp_path, private_nats, state=state)
    assert second.stored_before >= first.stored
    assert second.stored_before + second.sent == 600
    assert second.not_confirmed == 0
    assert len(platform.values()) == 600
    assert not list(state.glob("*.json"))
    assert deliver(mapping, tmp_path, private_nats, state=state).stored_before == 0


def test_a_damaged_state_costs_only_time(
    tmp_path: Path, private_nats: EmbeddedNats, platform: Platform
) -> None:
    """A state file of any bytes is as good as none."""
    mapping = small(tmp_path, "time,T\n" + DAY)
    with opened(mapping, tmp_path) as recording:
        address = Address.parse(private_nats.url("simulator"))
        state = State(tmp_path / "state", mapping.name, recording.identity, str(address))
    state.path.parent.mkdir()
    state.path.write_bytes(b'{"marked":{"small-one":"many"}}\xff')
    sent = deliver(mapping, tmp_path, private_nats, state=state.path.parent)
    assert (sent.sent, sent.not_confirmed) == (600, 0)


def test_a_window_sends_its_part_under_the_same_numbers(
    tmp_path: Path, private_nats: EmbeddedNats, platform: Platform
) -> None:
    """A part replayed first and the whole replayed later are the same records, so nothing is stored twice."""
    mapping = small(tmp_path, "time,T\n" + DAY)
    instants = [value.t_ms for value in expected(mapping, tmp_path)]
    sent = deliver(mapping, tmp_path, private_nats, window=Window(instants[100], instants[250]))
    assert (sent.in_window, sent.stored, sent.not_confirmed) == (150, 150, 0)
    [kept] = platform.kept.values()
    assert sorted(kept) == list(range(101, 251))
    deliver(mapping, tmp_path, private_nats)
    assert len(platform.kept) == 1
    assert sorted(kept) == list(range(1, 601))


def test_live_replay_keeps_its_pace_and_shifts_to_now(
    tmp_path: Path, private_nats: EmbeddedNats, platform: Platform
) -> None:
    """3 hours at 7,200 times take 1.5 s; the first record is of now, the intervals are divided by the speed."""
    mapping = small(tmp_path, "time,T\n" + "".join(DAY.splitlines(keepends=True)[:4]))
    began, began_ms = time.monotonic(), time.time_ns() // 1_000_000
    sent = deliver(mapping, tmp_path, private_nats, live=Live(7200))
    assert 1.4 <= time.monotonic() - began < 60
    assert (sent.stored, sent.not_confirmed) == (4, 0)
    [kept] = platform.kept.values()
    times = [kept[seq][1] for seq in (1, 2, 3, 4)]
    assert began_ms <= times[0] <= time.time_ns() // 1_000_000 - 1500
    assert [t - times[0] for t in times] == [0, 500, 1000, 1500]
    assert len(platform.kept) == 1
    deliver(mapping, tmp_path, private_nats, live=Live(1_000_000_000))
    assert len(platform.kept) == 2, "a shifted replay is new data, under a boot of its own"
    hurried = [row[1] for kept in list(platform.kept.values())[1:] for row in kept.values()]
    assert len(set(hurried)) == 4, "instants that high speed brings together stay apart"


def test_live_replay_with_its_own_stamps_is_the_same_recording(
    tmp_path: Path, private_nats: EmbeddedNats, platform: Platform
) -> None:
    """With --keep-time it makes no difference whether records came live or as backfill."""
    mapping = small(tmp_path, "time,T\n" + DAY)
    deliver(mapping, tmp_path, private_nats, live=Live(1_000_000_000, keep_time=True))
    deliver(mapping, tmp_path, private_nats)
    assert len(platform.kept) == 1
    assert platform.values() == {(e.device, e.key, e.t_ms): e.value for e in expected(mapping, tmp_path)}


def test_no_broker_is_an_error_with_advice(
    tmp_path: Path, private_nats: EmbeddedNats, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody listens: the error says where it looked and what to do."""
    monkeypatch.setattr("qytet_simulators.replay.run.CONNECT_SECONDS", 0.5)
    mapping = small(tmp_path, "time,T\n" + DAY)
    private_nats.kill()
    with pytest.raises(ServerError, match=r"No broker answers at 127.*--broker"):
        deliver(mapping, tmp_path, private_nats)


def test_the_command_replays_a_recording(
    private_nats: EmbeddedNats, platform: Platform, tmp_path: Path
) -> None:
    """`qytet replay river --data … --broker …`: exit code 0, and an account that fits what arrived."""
    data = recordings("river", "water-flow.csv")
    done = _qytet(tmp_path, "river", "--data", str(data), "--broker", private_nats.url("simulator"), "--json")
    assert done.returncode == 0, done.stderr
    account = json.loads(done.stdout)
    assert account["records_stored"] == account["records_sent"] == 1268
    assert platform.values() == {(e.device, e.key, e.t_ms): e.value for e in expected(load("river"), data)}


def test_the_command_fails_if_anything_is_not_confirmed(private_nats: EmbeddedNats, tmp_path: Path) -> None:
    """Exit code 1 and a sentence that says how many and what to do; the state stays for the next run."""
    data = recordings("river", "water-flow.csv")
    url = private_nats.url("simulator")
    done = _qytet(tmp_path, "river.toml", "--broker", url, "--patience", "1", data=data)
    assert done.returncode == 1, done.stderr
    assert "1,268 records are not confirmed" in done.stdout
    assert url.split(":")[2].split("@")[0] not in done.stdout + done.stderr, (
        "the password is nobody's to read"
    )


def test_ctrl_c_ends_with_an_account(private_nats: EmbeddedNats, tmp_path: Path) -> None:
    """An interrupted command says what is stored, exits with 130 and leaves a state that can be gone on from."""
    data = recordings("river", "water-flow.csv")
    arguments = ["river", "--data", str(data), "--broker", private_nats.url("simulator"), "--json"]
    with Platform(private_nats.url("ingest"), deaf=lambda _count: True).running() as platform:
        child = subprocess.Popen(
            [_program(), "replay", *arguments], stdout=subprocess.PIPE, cwd=tmp_path, env=_env()
        )
        try:
            deadline = time.monotonic() + 60
            while not platform.messages:
                assert time.monotonic() < deadline
                time.sleep(0.05)  # another process's progress offers no event
            child.send_signal(signal.SIGINT)
            out, _ = child.communicate(timeout=60)
        finally:
            child.kill()
    account = json.loads(out)
    assert child.returncode == 130
    assert account["interrupted"] is True
    assert account["records_not_confirmed"] == 1268


def test_options_may_follow_the_mapping() -> None:
    """As a plug-in of `qytet` the command takes its argument first or last, and needs no sub-command."""
    for arguments in (["river", "--check"], ["--check", "river"]):
        with pytest.raises(InputError, match="QYTET_DATA"):
            CliRunner().invoke(commands.app, arguments, env={"QYTET_DATA": ""}, catch_exceptions=False)
    listed = CliRunner().invoke(commands.app, ["--list", "--json"])
    assert set(json.loads(listed.stdout)) >= {"river", "los_loop"}


def test_check_and_describe_send_nothing(tmp_path: Path) -> None:
    """Both need no broker: one counts, the other prints what is to be registered, as JSON."""
    data = recordings("river", "water-flow.csv")
    counted = CliRunner().invoke(commands.app, ["river", "--data", str(data), "--check", "--json"])
    assert json.loads(counted.stdout)["values_valid"] == 1268
    described = CliRunner().invoke(commands.app, ["river", "--data", str(data), "--describe"])
    [device] = json.loads(described.stdout)["devices"]
    assert device["valid_from"] == "2022-03-20T00:00:00Z"


def test_a_window_reads_local_and_absolute_times(tmp_path: Path) -> None:
    """--from without an offset is the city's time; an empty window is an error."""
    data = recordings("river", "water-flow.csv")
    base = ["river", "--data", str(data), "--check"]
    with pytest.raises(InputError, match="window is empty"):
        CliRunner().invoke(
            commands.app, [*base, "--from", "2022-04-01", "--to", "2022-03-31T22:00Z"], catch_exceptions=False
        )
    with pytest.raises(InputError, match="not a time"):
        CliRunner().invoke(commands.app, [*base, "--from", "tomorrow"], catch_exceptions=False)


def test_the_plugin_is_mounted() -> None:
    """`qytet replay` is found by entry point like every other part."""
    assert cli.app is not None
    done = subprocess.run(
        [_program(), "replay", "--list"], capture_output=True, text=True, env=_env(), check=False
    )
    assert done.returncode == 0
    assert "river" in done.stdout


def _program() -> str:
    return str(Path(sys.executable).parent / "qytet")


def _env() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith("QYTET_")}


def _qytet(cwd: Path, *arguments: str, data: Path | None = None) -> subprocess.CompletedProcess[str]:
    env = _env() | ({"QYTET_DATA": str(data)} if data else {})
    return subprocess.run(
        [_program(), "replay", *arguments],
        capture_output=True,
        text=True,
        cwd=cwd,
        env=env,
        check=False,
        timeout=120,
    )
