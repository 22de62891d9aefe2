"""The oracle keeps the truth: written before sending, whole after a crash, streamed back as the rows to expect."""

import os
import signal
import subprocess
import sys

import pytest

from qytet_simulators import oracle
from qytet_simulators.city import CityModel, load_fleet
from qytet_simulators.faults import (
    Booted,
    FaultStream,
    Hold,
    Record,
    Resend,
    SendGarbage,
    SendLive,
    load_scenario,
)
from qytet_simulators.oracle import OracleError, OracleWriter, Row

NOW = 1_790_000_000_000


def _record(seq=1, t=NOW, up=5000, boot="0a0b0c0d", m=None, tq=None):
    return Record("a-1", boot, seq, t, up, tq or ("ntp" if t else "none"), m or {"pm2_5": 1.5}, NOW)


def test_what_is_written_comes_back(tmp_path):
    """Every kind of entry survives the file, values and nulls unchanged."""
    path = tmp_path / "oracle.jsonl"
    with OracleWriter(path) as writer:
        writer.accepted(
            [_record(m={"pm2_5": 1.5, "vehicle_count:lane1": 3, "vehicle_speed_mean:lane1": None})], NOW
        )
        writer.resent(_record(), NOW + 1)
        writer.garbage(SendGarbage("a-1", "obs", b"\xff{\n", NOW), NOW + 2)
        writer.dropped("a-1", "0a0b0c0d", 7, NOW + 3)
    accepted, resent, garbage, dropped = oracle.read(path)
    assert isinstance(accepted, oracle.Accepted)
    assert accepted.m == {"pm2_5": 1.5, "vehicle_count:lane1": 3, "vehicle_speed_mean:lane1": None}
    assert (accepted.fate, accepted.seq, accepted.t, accepted.up, accepted.wall) == (
        "stored",
        1,
        NOW,
        5000,
        NOW,
    )
    assert isinstance(resent, oracle.Resent)
    assert resent.fate == "duplicate"
    assert isinstance(garbage, oracle.Garbage)
    assert garbage.payload == b"\xff{\n"
    assert dropped == oracle.Dropped("a-1", "0a0b0c0d", 7, NOW + 3)
    assert oracle.count(path) == {
        "records": 1,
        "values": 3,
        "stored": 1,
        "resent": 1,
        "garbage": 1,
        "dropped": 1,
    }


@pytest.mark.parametrize(
    ("t", "fate"),
    [
        (NOW, "stored"),
        (NOW + 299_999, "stored"),
        (NOW + 300_000, "dead_letter"),
        (NOW - 86_400_000, "stored"),
        (1_704_067_200_000 - 1, "dead_letter"),
        (None, "undated"),
    ],
)
def test_fate_follows_the_clock(t, fate):
    """Too far ahead or before service is refused, without a time it waits, all else is stored."""
    assert oracle.fate_of(_record(t=t), NOW) == fate


def test_expected_rows_date_what_had_no_time(tmp_path):
    """An undated record is expected where its boot's first anchor puts it; without an anchor it is not expected."""
    path = tmp_path / "oracle.jsonl"
    with OracleWriter(path) as writer:
        writer.accepted([_record(1, None, 1000), _record(2, None, 2000), _record(3, NOW, 9000)], NOW)
        writer.accepted([_record(1, None, 500, boot="ffffffff")], NOW)
        writer.accepted([_record(4, NOW + 86_400_000, 9500)], NOW)
    assert list(oracle.expected_rows(path)) == [
        Row("a-1", "pm2_5", NOW - 8000, 1.5),
        Row("a-1", "pm2_5", NOW - 7000, 1.5),
        Row("a-1", "pm2_5", NOW, 1.5),
    ]


def test_a_clock_that_contradicts_itself_leaves_a_choice(tmp_path):
    """After a step two anchors disagree: the first by seq is expected, the other allowed, dated rows are certain."""
    path = tmp_path / "oracle.jsonl"
    with OracleWriter(path) as writer:
        writer.accepted([_record(1, None, 1000), _record(3, NOW - 600_000, 3000), _record(2, NOW, 2000)], NOW)
    undated, late, early = oracle.expected_rows(path)
    assert undated == Row("a-1", "pm2_5", NOW - 1000, 1.5, also=(NOW - 602_000,))
    assert (late.also, early.also) == ((), ())


def test_expected_rows_leave_out_what_was_dropped(tmp_path):
    """A record that its device gave up may be missing, so no test may demand it."""
    path = tmp_path / "oracle.jsonl"
    with OracleWriter(path) as writer:
        writer.accepted([_record(1), _record(2, NOW + 1)], NOW)
        writer.dropped("a-1", "0a0b0c0d", 1, NOW)
    assert [row.t_ms for row in oracle.expected_rows(path)] == [NOW + 1]


def test_a_torn_line_is_ignored_and_mended(tmp_path):
    """A line cut short by a crash is not read, and continuing the file loses no whole line."""
    path = tmp_path / "oracle.jsonl"
    with OracleWriter(path) as writer:
        writer.accepted([_record(1), _record(2, NOW + 1)], NOW)
    with path.open("ab") as file:
        file.write(b'{"kind":"record","device":"a-1","bo')
    assert len(list(oracle.read(path))) == 2
    with OracleWriter(path) as writer:
        writer.accepted([_record(3, NOW + 2)], NOW)
    assert [entry.seq for entry in oracle.read(path)] == [1, 2, 3]


def test_several_files_are_one_truth(tmp_path):
    """Runs that wrote to files of their own are expected together."""
    paths = [tmp_path / "one.jsonl", tmp_path / "two.jsonl"]
    for number, path in enumerate(paths):
        with OracleWriter(path) as writer:
            writer.accepted([_record(1, NOW + number, boot=f"0000000{number}")], NOW)
    assert [row.t_ms for row in oracle.expected_rows(*paths)] == [NOW, NOW + 1]


@pytest.mark.parametrize("text", [b"hello\n", b'{"kind":"oracle","version":99}\n', b'{"kind":"alien"}\n'])
def test_other_files_are_refused(tmp_path, text):
    """A file that is no oracle, or of another version, is named, not misread."""
    path = tmp_path / "other"
    path.write_bytes(text)
    with pytest.raises(OracleError, match="other"):
        list(oracle.read(path))


def test_a_killed_writer_has_written_all_that_it_said(tmp_path):
    """After SIGKILL every record that was accepted before it was announced is in the file."""
    path = tmp_path / "oracle.jsonl"
    program = (
        "import sys, pathlib\n"
        "from qytet_simulators.oracle import OracleWriter\n"
        "from qytet_simulators.faults import Record\n"
        "writer = OracleWriter(pathlib.Path(sys.argv[1]))\n"
        "for seq in range(1, 10**6):\n"
        f"    writer.accepted([Record('a-1', '0a0b0c0d', seq, {NOW} + seq, seq, 'ntp', {{'pm1': 1}}, {NOW})], {NOW})\n"
        "    print(seq, flush=True)\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program, str(path)], stdout=subprocess.PIPE, text=True
    ) as child:
        assert child.stdout is not None
        for _ in range(300):
            announced = int(child.stdout.readline())
        os.kill(child.pid, signal.SIGKILL)
        announced = max([announced, *(int(line) for line in child.stdout if line.endswith("\n"))])
    assert announced <= len(list(oracle.read(path))) <= announced + 1


def test_a_whole_scenario_expects_each_value_once(tmp_path):
    """Over a bad day no datastream and instant is expected twice, and every accepted value is accounted for."""
    path = tmp_path / "oracle.jsonl"
    stream = FaultStream(load_scenario("bad-day"), NOW)
    model = CityModel(load_fleet().paced(1 / 60, 1, 10), 2)
    seen: set[tuple[str, str, int]] = set()
    with OracleWriter(path) as writer:
        for reading in model.readings(NOW, NOW + 90_000):
            _note(writer, seen, stream.push(reading), reading.t_ms)
        _note(writer, seen, stream.finish(), NOW + 90_000)
    rows = list(oracle.expected_rows(path))
    counts = oracle.count(path)
    assert len({(row.device, row.key, row.t_ms) for row in rows}) == len(rows)
    assert counts["records"] == len(seen)
    assert counts["undated"] > 20
    assert counts["resent"] > 100
    assert counts["garbage"] > 20
    assert counts["dead_letter"] == 0
    assert 0.98 * counts["values"] < len(rows) <= counts["values"]


def _note(writer, seen, actions, now_ms):
    for action in actions:
        if isinstance(action, Hold | SendLive):
            identity = (action.record.device, action.record.boot, action.record.seq)
            if identity not in seen:
                seen.add(identity)
                writer.accepted([action.record], now_ms)
        elif isinstance(action, Resend):
            writer.resent(action.record, now_ms)
        elif isinstance(action, SendGarbage):
            writer.garbage(action, now_ms)
        else:
            assert isinstance(action, Booted) or action.records
