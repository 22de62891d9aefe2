"""Simulated sensors with a line of their own say what their data sheets print, and keep to their times and states."""

import struct

import pytest

from qytet_simulators.hardware.sensors.jsn_sr04t import JsnSr04t
from qytet_simulators.hardware.sensors.pms5003 import Pms5003
from qytet_simulators.hardware.sensors.pulses import Motion, PulseMeter
from qytet_simulators.hardware.sensors.pzem004t import Pzem004t, PzemMeter
from qytet_simulators.hardware.sensors.radar import Radar
from qytet_simulators.hardware.sensors.sds011 import Sds011
from qytet_simulators.hardware.sensors.sps30 import Sps30
from qytet_simulators.hardware.sensors.traffic import Lane
from qytet_simulators.hardware.sensors.world import World
from qytet_simulators.instruments.modbus_unit import Fault, checksum
from qytet_simulators.instruments.uart import Faults
from tests.hardware.sensor_wires import Line, PinWire

DUST = {"pm1": 4.0, "pm2_5": 7.5, "pm4": 8.0, "pm10": 9.25, "particle_number_concentration_pm0_5": 50.0}


def test_sps30_speaks_as_its_data_sheet_prints() -> None:
    """Start, read, stop, sleep and wake are the frames of section 5.3; asleep it must be woken twice."""
    line = Line(Sps30(lambda: DUST))
    assert line.ask("7e 00 00 02 01 03 f9 7e") == ["7e 00 00 00 00 ff 7e"]
    assert line.ask("7e 00 03 00 fc 7e") == ["7e 00 03 00 00 fc 7e"], "no value yet"
    assert line.ask("7e 00 10 00 ef 7e") == ["7e 00 10 43 00 ac 7e"], "not while it measures"
    line.wait(40)
    (answer,) = line.ask("7e 00 03 00 fc 7e")
    data = bytes.fromhex(answer)
    assert data[1:5] == b"\x00\x03\x00\x28"
    assert struct.unpack(">5f", data[5:25]) == pytest.approx(tuple(DUST.values()))
    assert line.ask("7e 00 03 00 fc 7e") == ["7e 00 03 00 00 fc 7e"], "once a second"
    assert line.ask("7e 00 01 00 fe 7e") == ["7e 00 01 00 00 fe 7e"]
    assert line.ask("7e 00 10 00 ef 7e") == ["7e 00 10 00 00 ef 7e"]
    assert line.ask("7e 00 d0 01 00 2e 7e", 200) == []
    assert line.ask("ff 7e 00 7d 31 00 ee 7e") == ["7e 00 7d 31 00 00 ee 7e"]
    assert line.ask("7e 00 77 00 88 7e") == ["7e 00 77 02 00 86 7e"], "an unknown command"
    assert line.ask("7e 00 00 02 01 03 f8 7e") == [], "a wrong checksum"


def test_particles_are_not_to_be_believed_while_the_fan_spins_up() -> None:
    """For its first 30 s a dust sensor says too much, so that whoever reads too early is found out."""
    sensor = Sps30(lambda: DUST)
    line = Line(sensor)
    line.ask("7e 00 00 02 01 03 f9 7e")
    found = []
    for _ in range(4):
        line.wait(10)
        data = bytes.fromhex(line.ask("7e 00 03 00 fc 7e")[0])
        found.append(struct.unpack(">f", data[9:13])[0])
    assert found[0] > found[1] > found[3] == pytest.approx(DUST["pm2_5"])
    assert found[2] == pytest.approx(DUST["pm2_5"], rel=0.01)


def test_pms5003_and_sds011_obey() -> None:
    """Passive mode answers when asked, sleep is silent, as appendix II and the protocol V1.3 have it."""
    line = Line(Pms5003(lambda: {key: DUST[key] for key in ("pm1", "pm2_5", "pm10")}))
    assert line.ask("42 4d e1 00 00 01 70") == ["42 4d 00 04 e1 00 01 74"]
    line.wait(60)
    (frame,) = line.ask("42 4d e2 00 00 01 71")
    words = struct.unpack(">16H", bytes.fromhex(frame))
    assert words[1] == 28
    assert words[5:8] == (4, 8, 9)
    assert sum(bytes.fromhex(frame)[:30]) == words[15]
    assert len(line.said) == 1, "passive: it said nothing unasked"
    line.ask("42 4d e4 00 00 01 73")
    assert line.ask("42 4d e2 00 00 01 71", 5000) == []
    dusty = Sds011(lambda: {"pm2_5": 7.5, "pm10": 9.25})
    line = Line(dusty)
    line.wait(60)
    query = "aa b4 02 01 01" + " 00" * 10 + " ff ff 02 ab"
    assert line.ask(query)[-1] == "aa c5 02 01 01 00 a1 60 05 ab"
    assert line.ask("aa b4 04 00 00" + " 00" * 10 + " ff ff 02 ab") == ["aa c0 4b 00 5c 00 a1 60 a8 ab"]
    assert line.ask("aa b4 06 01 00" + " 00" * 10 + " ff ff 05 ab") == ["aa c5 06 01 00 00 a1 60 08 ab"]
    assert line.ask("aa b4 04 00 00" + " 00" * 10 + " ff ff 02 ab", 3000) == []
    assert dusty.worked_us == 60_000_000


def test_distances_are_what_sound_takes() -> None:
    """A frame of four bytes says millimetres for 340 m/s; in warm air all looks nearer; 25 cm are blind."""
    truth = {"distance": 2.0, "air_temperature": 30.0}
    line = Line(JsnSr04t(lambda: truth))
    (frame,) = line.ask("55")
    data = bytes.fromhex(frame)
    assert (data[0], sum(data[:3]) & 0xFF) == (0xFF, data[3])
    assert int.from_bytes(data[1:3], "big") == round(2000 * 340 / (331.3 + 0.606 * 30))
    truth["distance"] = 0.1
    assert bytes.fromhex(line.ask("55")[0])[1:3] == (250).to_bytes(2, "big")
    truth["distance"] = 6.0
    assert bytes.fromhex(line.ask("55")[0])[1:3] == b"\0\0"


def test_meters_on_one_line_answer_each_for_itself() -> None:
    """PZEM modules answer their address, keep the energy that flowed, and fail as they are told to."""
    truth = {"voltage": 230.4, "current": 70.0, "power": 16_100.0, "frequency": 50.0, "factor": 0.998}
    meters = [PzemMeter(lambda: truth, 1, 1000), PzemMeter(lambda: truth, 2, 500)]
    line = Line(Pzem004t(meters))
    line.wait(3600)
    question = bytes((2, 4, 0, 0, 0, 10))
    text = (question + checksum(question)).hex()
    data = bytes.fromhex(line.ask(text, 100)[0])
    words = struct.unpack(">10H", data[3:-2])
    assert data[:3] == b"\x02\x04\x14"
    assert checksum(data[:-2]) == data[-2:]
    assert words[0] == 2304
    assert words[1] | words[2] << 16 == 70_000
    assert words[3] | words[4] << 16 == 161_000
    assert words[5] | words[6] << 16 == pytest.approx(16_600, abs=5)
    assert words[7:9] == (500, 100)
    meters[1].unit.faults.extend([Fault(silent=True), Fault(bad_checksum=True), Fault(cut=5)])
    assert line.ask(text, 100) == []
    wrong = bytes.fromhex(line.ask(text, 100)[0])
    assert checksum(wrong[:-2]) != wrong[-2:]
    assert len(bytes.fromhex(line.ask(text, 100)[0])) == 5
    assert line.ask("f8 04 00 00 00 0a 64 64", 100) == [], "two modules: none knows that it is meant"


def _radar() -> tuple[Radar, Line, Lane]:
    world = World(3)
    lane = Lane(lambda: 900, lambda: 50, world.draw("lane"))
    radar = Radar({1: lane}, seed=1)
    return radar, Line(radar), lane


def _bin(line: Line, last: int) -> tuple[int, int, int]:
    question = bytes((0x51, 1, last))
    data = bytes.fromhex(line.ask((question + checksum(question)).hex())[0])
    assert checksum(data[:-2]) == data[-2:]
    number, _, count, speeds, _ = struct.unpack_from("<BHHII", data, 2)
    return number, count, speeds


def test_a_radar_counts_each_vehicle_once_whatever_is_lost() -> None:
    """A bin is given again until its number comes back; then the next one begins where it ended."""
    radar, line, lane = _radar()
    line.wait(100)
    number, *_ = _bin(line, 0)
    base = radar.forgotten(1)
    assert base == lane.came > 5
    told = 0
    for step in range(60):
        line.wait(7)
        found = _bin(line, number)
        if step % 3 == 0:  # the answer was lost: ask again
            assert _bin(line, number) == found
        number, count, speeds = found
        new = list(lane.vehicles)[base + told : base + told + count]
        assert speeds == sum(round(one.speed_kmh * 10) for one in new)
        told += count
    assert told == lane.came - base > 60


def test_pulses_and_motion() -> None:
    """A meter closes its contact once a unit, power or not; a motion sensor makes up motions while it settles."""
    meter = PulseMeter(lambda: 2.0)
    wire = PinWire(meter)
    wire.clock.advance(60_000_000)
    assert meter.count == 119 or meter.count == 120
    assert wire.driven.count(0) == meter.count
    motion = Motion(lambda: 600, World(1).draw("pir"))
    wire = PinWire(motion)
    wire.clock.advance(60_000_000)
    assert 1 <= len(motion.false_ms) <= 3
    assert not motion.seen_ms
    wire.clock.advance(3_600_000_000)
    assert 150 < len(motion.seen_ms) < 600


def test_an_empty_road_and_a_quiet_place_are_truths_too() -> None:
    """Where nobody passes nothing is counted, and when somebody does again it is."""
    much = {"flow": 0.0}
    lane = Lane(lambda: much["flow"], lambda: 50, World(1).draw("lane"))
    motion = Motion(lambda: much["flow"], World(1).draw("pir"))
    wire = PinWire(motion)
    lane.plugged(wire.clock)
    wire.clock.advance(3_600_000_000)
    assert (lane.came, len(motion.seen_ms)) == (0, 0)
    much["flow"] = 600.0
    wire.clock.advance(7_200_000_000)
    assert lane.came > 300
    assert len(motion.seen_ms) > 150


@pytest.mark.parametrize(
    ("faults", "good"),
    [(Faults(bad_checksum=1), False), (Faults(truncated=1), False), (Faults(garbage=1), True)],
    ids=["checksum", "short", "noise"],
)
def test_a_serial_sensor_fails_as_it_is_told(faults: Faults, good: bool) -> None:
    """Its frames are spoilt, and counted as what they are; a broken wire is silence."""
    sensor = JsnSr04t(lambda: {"distance": 2.0}, seed=4)
    line = Line(sensor)
    whole = line.ask("55")[0]
    sensor.faults = faults
    spoilt = line.ask("55")[0]
    assert spoilt.endswith(whole) == good
    assert spoilt != whole
    assert (sensor.said, sensor.wrong) == (2, int(not good))
    sensor.silent = True
    assert line.ask("55", 1000) == []
