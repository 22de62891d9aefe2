"""The Modbus RTU source against a simulated line: every way in which a line goes wrong, and that it mends itself."""

import asyncio
import struct
from pathlib import Path

import pytest

from qytet_edge.inbox import modbus
from qytet_simulators.instruments.modbus_rtu import RtuLine
from qytet_simulators.instruments.modbus_unit import Fault
from tests.edge.modbus_support import PATIENT, VOLTS, WATTS, context, meter, play, rtu, source, unit
from tests.edge.recording_sink import RecordingSink, running

TRUTH = {"grid_phase_voltage": VOLTS, "grid_active_power": WATTS / 1000}


def test_a_meter_is_read_as_its_map_says(tmp_path: Path) -> None:
    """What the instrument keeps arrives under the map's keys, in the catalogue's units, in one reading."""

    async def work() -> None:
        sink = RecordingSink()
        made = source(rtu(tmp_path, [unit(1)], **PATIENT), tmp_path)
        async with RtuLine(tmp_path / "port", [meter(1)]), running(made, sink):
            await sink.until(lambda: len(sink.readings) >= 3)
        assert [reading.device for reading in sink.readings[:3]] == ["meter-1"] * 3
        assert all(reading.values == TRUTH and reading.t_ms is None for reading in sink.readings)
        assert sink.troubles == []
        assert made.streams == {"meter-1": list(TRUTH)}

    play(work())


@pytest.mark.parametrize(
    "fault",
    [
        Fault(before=b"\x00"),
        Fault(before=b"\xff\x01\x03\x7f", after=b"\x00\x00"),
        Fault(before=b"\x01\x04\x08"),
        Fault(after=b"\xff" * 20),
        Fault(pieces=5),
        Fault(delay_s=0.05),
        Fault(echo=True),
    ],
    ids=["byte before", "noise around", "false start", "noise after", "in pieces", "slow", "echo"],
)
def test_what_surrounds_a_sound_answer_does_no_harm(tmp_path: Path, fault: Fault) -> None:
    """Noise around an answer, an echo, pieces and slowness within the time-out cost no reading."""

    async def work() -> None:
        sink = RecordingSink()
        disturbed = meter(1)
        disturbed.fault = fault
        async with (
            RtuLine(tmp_path / "port", [disturbed]),
            running(source(rtu(tmp_path, [unit(1)], **PATIENT), tmp_path), sink),
        ):
            await sink.until(lambda: len(sink.readings) >= 3)
        assert all(reading.values == TRUTH for reading in sink.readings)
        assert sink.troubles == []

    play(work())


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        (Fault(silent=True), "unit 1 is silent"),
        (Fault(bad_checksum=True), "bad checksum"),
        (Fault(cut=6), "cut short"),
        (Fault(cut=0, before=b"\x17" * 30), "30 bytes came that are no answer"),
        (Fault(wrong_unit=9), "unit 9 answered in the place of unit 1"),
        (Fault(silent=True, echo=True), "unit 1 is silent"),
        (Fault(exception=2), "exception 2"),
    ],
    ids=["silence", "checksum", "cut", "noise", "wrong unit", "only echo", "refusal"],
)
def test_each_fault_is_told_by_its_name_and_passes(tmp_path: Path, fault: Fault, said: str) -> None:
    """A poll that fails stores nothing false, says what was seen, and the next one that succeeds is whole."""

    async def work() -> None:
        sink = RecordingSink()
        faulty = meter(1)
        faulty.faults.extend([fault] * 2)  # the question and its repetition
        async with (
            RtuLine(tmp_path / "port", [faulty]),
            running(source(rtu(tmp_path, [unit(1)]), tmp_path), sink),
        ):
            await sink.until(lambda: bool(sink.troubles))
            await sink.until(lambda: len(sink.readings) >= 2)
        assert said in sink.troubles[0]
        assert sink.troubles[0].startswith("meter-1: ")
        assert all(reading.values == TRUTH for reading in sink.readings)

    play(work())


def test_a_question_is_repeated_before_a_poll_fails(tmp_path: Path) -> None:
    """One lost answer costs neither a reading nor a trouble: the question is asked again."""

    async def work() -> None:
        sink = RecordingSink()
        faulty = meter(1)
        faulty.faults.append(Fault(bad_checksum=True))
        async with (
            RtuLine(tmp_path / "port", [faulty]),
            running(source(rtu(tmp_path, [unit(1)], retries=5), tmp_path), sink),
        ):
            await sink.until(lambda: bool(sink.readings))
        assert sink.troubles == []
        assert faulty.asked >= 2

    play(work())


def test_an_answer_that_comes_too_late_is_never_taken_for_the_next(tmp_path: Path) -> None:
    """An answer that takes up to twice the time-out does not become that of the next question of the same shape."""

    async def work() -> None:
        sink = RecordingSink()
        slow = meter(1)
        told = iter(range(1, 1000))
        slow.tables[4][0] = lambda: 0x4000 + next(told)  # another voltage at each read
        # The time-out is 0.4 s: the first answer comes while, were it not for the wait, the second is awaited.
        slow.faults.extend([Fault(delay_s=0.5), Fault(delay_s=0.25)])
        line = RtuLine(tmp_path / "port", [slow])
        async with line, running(source(rtu(tmp_path, [unit(1)], timeout_s=0.4, retries=3), tmp_path), sink):
            await sink.until(lambda: len(sink.readings) >= 2)
        volts = [reading.values["grid_phase_voltage"] for reading in sink.readings]
        assert volts[0] == pytest.approx(_volts(0x4002), rel=1e-6)  # the first read's answer came late
        assert len(set(volts)) == len(volts)

    play(work())


def _volts(high: int) -> float:
    low = struct.unpack(">HH", struct.pack(">f", VOLTS))[1]
    value: float = struct.unpack(">f", struct.pack(">HH", high, low))[0]
    return value


def test_a_silent_unit_is_asked_rarely_and_costs_the_others_little(tmp_path: Path) -> None:
    """While one unit is silent and another garbles, a third keeps its pace; the silent one is asked ever less."""

    async def work() -> None:
        sink = RecordingSink()
        silent, garbling, well = meter(1), meter(2), meter(3)
        silent.fault, garbling.fault = Fault(silent=True), Fault(bad_checksum=True)
        table = rtu(tmp_path, [unit(1), unit(2), unit(3)], rest_s=60)
        made = source(table, tmp_path)
        async with RtuLine(tmp_path / "port", [silent, garbling, well]), running(made, sink):
            await sink.until(lambda: len(sink.readings) >= 20)
        assert {reading.device for reading in sink.readings} == {"meter-3"}
        assert silent.asked <= 8
        assert garbling.asked <= 8
        assert any("meter-1" in what for what in sink.troubles)
        assert any("meter-2" in what for what in sink.troubles)

    play(work())


def test_a_unit_that_returns_is_asked_at_its_pace_again(tmp_path: Path) -> None:
    """The rest that a silent unit was given ends with its first answer."""

    async def work() -> None:
        sink = RecordingSink()
        unit_1 = meter(1)
        unit_1.faults.extend([Fault(silent=True)] * 3)
        made = source(rtu(tmp_path, [unit(1)]), tmp_path)
        async with RtuLine(tmp_path / "port", [unit_1]), running(made, sink):
            await sink.until(lambda: len(sink.readings) >= 5)
        assert made.stations[0].silent_polls == 0

    play(work())


def test_a_full_disk_pauses_one_line_only(tmp_path: Path) -> None:
    """While a put waits the unit is not asked on; nothing is read into memory without bound."""

    async def work() -> None:
        sink = RecordingSink()
        read = meter(1)
        line = RtuLine(tmp_path / "port", [read])
        async with line, running(source(rtu(tmp_path, [unit(1)]), tmp_path), sink):
            await sink.until(lambda: bool(sink.readings))
            sink.full = True
            before = len(sink.readings)
            held = read.asked
            await asyncio.sleep(0.3)  # six polls' time
            assert read.asked <= held + 2  # the poll that waits now, and one that was under way
            await sink.has_room()
            await sink.until(lambda: len(sink.readings) >= before + 2)

    play(work())


def test_unplugging_and_replugging_the_adapter_mends_itself(tmp_path: Path) -> None:
    """With the adapter gone it is the port that is blamed; in again, readings go on without a restart."""

    async def work() -> None:
        sink = RecordingSink()
        line = RtuLine(tmp_path / "port", [meter(1), meter(2)])
        made = source(rtu(tmp_path, [unit(1), unit(2)]), tmp_path)
        async with line, running(made, sink) as task:
            await sink.until(lambda: bool(sink.readings))
            for _ in range(3):
                line.unplug()
                sink.troubles.clear()
                await sink.until(lambda: bool(sink.troubles))
                line.plug()
                count = len(sink.readings)
                await sink.until(lambda count=count: len({r.device for r in sink.readings[count:]}) == 2)
            assert not task.done()
        assert all(reading.values == TRUTH for reading in sink.readings)
        assert all(station.silent_polls == 0 for station in made.stations)

    play(work())


def test_a_port_that_is_not_there_is_waited_for(tmp_path: Path) -> None:
    """A gateway that starts before its adapter is plugged in begins to read when it is."""

    async def work() -> None:
        sink = RecordingSink()
        line = RtuLine(tmp_path / "port", [meter(1)])
        made = source(rtu(tmp_path, [unit(1)]), tmp_path)
        async with running(made, sink):
            await asyncio.sleep(0)
            async with line:
                await sink.until(lambda: bool(sink.readings))

    play(work())


def test_one_line_serves_two_sources_in_turn(tmp_path: Path) -> None:
    """Two sources of one port share one client: neither disturbs the other's answers, the last closes it."""

    async def work() -> None:
        sink = RecordingSink()
        shared = context(tmp_path)
        first = modbus.create(rtu(tmp_path, [unit(1)], **PATIENT), shared)
        second = modbus.create(rtu(tmp_path, [unit(2)], name="other", **PATIENT), shared)
        assert first.bus is second.bus
        line = RtuLine(tmp_path / "port", [meter(1), meter(2)])
        async with line, running(first, sink):
            async with running(second, sink):
                await sink.until(lambda: len(sink.readings) >= 10)
            count = len(sink.readings)
            await sink.until(lambda: len(sink.readings) >= count + 3)
        assert sink.troubles == []
        assert {reading.device for reading in sink.readings} == {"meter-1", "meter-2"}

    play(work())


def test_babble_between_questions_is_ignored(tmp_path: Path) -> None:
    """More noise than any buffer holds, when nobody asked, spoils at most the poll that it hits."""

    async def work() -> None:
        sink = RecordingSink()
        line = RtuLine(tmp_path / "port", [meter(1)])
        async with line, running(source(rtu(tmp_path, [unit(1)]), tmp_path), sink):
            await sink.until(lambda: bool(sink.readings))
            for _ in range(5):
                line.babble(bytes(range(256)) * 2)
                count = len(sink.readings)
                await sink.until(lambda count=count: len(sink.readings) > count)
        assert all(reading.values == TRUTH for reading in sink.readings)

    play(work())


@pytest.mark.parametrize("trouble", ["unplugged", "babbling", "silent"])
def test_a_line_in_trouble_stalls_no_other_line(tmp_path: Path, trouble: str) -> None:
    """While one line is pulled out, floods the port with noise, or is silent, another keeps its pace."""

    async def work() -> None:
        for name in ("bad", "good"):
            (tmp_path / name).mkdir()
        sink, bad_sink = RecordingSink(), RecordingSink()
        mute = meter(1)
        mute.fault = Fault(silent=True)
        bad_line, good_line = (
            RtuLine(tmp_path / "bad/port", [mute]),
            RtuLine(tmp_path / "good/port", [meter(2)]),
        )
        bad = source(rtu(tmp_path / "bad", [unit(1)], rest_s=0.05), tmp_path / "bad")
        good = source(rtu(tmp_path / "good", [unit(2)], **PATIENT), tmp_path / "good")

        async def babbling() -> None:
            while True:
                bad_line.babble(bytes(range(1, 200)) * 10)  # more than the wire could carry
                await asyncio.sleep(0.02)

        async with bad_line, good_line, running(bad, bad_sink), running(good, sink):
            await sink.until(lambda: bool(sink.readings))
            noise = asyncio.create_task(babbling()) if trouble == "babbling" else None
            if trouble == "unplugged":
                bad_line.unplug()
            began, count = asyncio.get_running_loop().time(), len(sink.readings)
            await sink.until(lambda: len(sink.readings) >= count + 12 and bool(bad_sink.troubles))
            taken = asyncio.get_running_loop().time() - began
            if noise is not None:
                noise.cancel()
                await asyncio.wait((noise,))
        assert sink.troubles == []
        assert bad_sink.readings == []
        assert taken < 3  # 12 polls of 0.05 s

    play(work())
