"""Simulated sensors say what their data sheets print, byte for byte, and keep to their times and states."""

import json
import math
import re
import struct
from collections.abc import Mapping
from pathlib import Path

import pytest

from qytet.errors import InputError
from qytet_bench.program import SOURCE
from qytet_simulators.hardware.clock import VirtualClock
from qytet_simulators.hardware.ports import PinDevice, UartDevice
from qytet_simulators.hardware.profiles import DRIVERS, fitted, surroundings, wiring_for
from qytet_simulators.hardware.sensors.adxl355 import Adxl355
from qytet_simulators.hardware.sensors.bh1750 import Bh1750
from qytet_simulators.hardware.sensors.bme688 import Bme688
from qytet_simulators.hardware.sensors.ds18b20 import Ds18b20, crc8
from qytet_simulators.hardware.sensors.jsn_sr04t import JsnSr04t
from qytet_simulators.hardware.sensors.mmc5603 import Mmc5603
from qytet_simulators.hardware.sensors.pms5003 import Pms5003
from qytet_simulators.hardware.sensors.pulses import Motion, PulseMeter
from qytet_simulators.hardware.sensors.pzem004t import Pzem004t, PzemMeter
from qytet_simulators.hardware.sensors.radar import Radar
from qytet_simulators.hardware.sensors.scd41 import Scd41
from qytet_simulators.hardware.sensors.sds011 import Sds011
from qytet_simulators.hardware.sensors.sps30 import Sps30
from qytet_simulators.hardware.sensors.traffic import Lane
from qytet_simulators.hardware.sensors.world import World
from qytet_simulators.instruments.modbus_unit import Fault, checksum
from qytet_simulators.instruments.uart import Faults
from tests.hardware.whole import profile_of

ROOT = Path(__file__).parents[2]
START_MS = 1_788_256_800_000
DUST = {"pm1": 4.0, "pm2_5": 7.5, "pm4": 8.0, "pm10": 9.25, "particle_number_concentration_pm0_5": 50.0}
AIR = {"air_temperature": 21.5, "relative_humidity": 47.0, "air_pressure": 987.6, "gas_resistance": 81_000.0}


class Line:
    """A wire to a sensor: what it says, and when its first byte went out."""

    def __init__(self, device: UartDevice) -> None:
        self.clock = VirtualClock(START_MS)
        self.said: list[bytes] = []
        self._device = device
        device.plugged(self)

    def say(self, data: bytes, after_us: int = 0) -> None:
        self.clock.call_at(self.clock.now_us() + after_us, lambda: self.said.append(data))

    def ask(self, text: str, wait_ms: int = 50) -> list[str]:
        """What it says to these bytes (hex) within a time."""
        self.said.clear()
        self._device.heard(bytes.fromhex(text))
        self.wait(wait_ms / 1000)
        return [one.hex(" ") for one in self.said]

    def wait(self, seconds: float) -> None:
        self.clock.advance(self.clock.now_us() + int(seconds * 1e6))


class PinWire:
    """A pin that counts the times it was pulled to a level."""

    number = 27

    def __init__(self, device: PinDevice) -> None:
        self.clock = VirtualClock(START_MS)
        self.driven: list[int | None] = []
        device.plugged(self)

    def drive(self, level: int | None) -> None:
        self.driven.append(level)


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


def test_bme688_is_measured_by_the_formulas_of_its_data_sheet() -> None:
    """Raw values lead back to the truth; the gas counts only if the heater is told to be hot."""
    chip, clock = Bme688(lambda: AIR), VirtualClock(START_MS)
    chip.plugged(clock)
    for register, value in ((0x72, 1), (0x64, 0x59), (0x5A, 0x70), (0x71, 0x20), (0x74, 0x25)):
        assert chip.write(bytes((register, value)))
    assert chip.write(b"\x1d")
    assert chip.read(1) == b"\x60", "it is measuring"
    assert chip.heater_ms() == 100
    clock.advance(110_000)
    chip.write(b"\x1d")
    data = chip.read(17)
    assert data is not None
    raw_p, raw_t = (int.from_bytes(data[at : at + 3], "big") >> 4 for at in (2, 5))
    fine = chip.fine(raw_t)
    assert fine / 5120 == pytest.approx(21.5, abs=0.01)
    assert chip.pascal(fine, raw_p) == pytest.approx(98_760, abs=3)
    assert chip.percent(fine, int.from_bytes(data[8:10], "big")) == pytest.approx(47, abs=0.02)
    ohm = 1e6 * (262144 >> (data[16] & 15)) / (4096 + 3 * ((data[15] << 2 | data[16] >> 6) - 512))
    assert ohm == pytest.approx(81_000, rel=0.003)
    assert data[16] & 0x30 == 0x30
    chip.write(b"\x5a\x01")  # hardly heated
    chip.write(b"\x74\x25")
    clock.advance(300_000)
    chip.write(b"\x1d")
    cold = chip.read(17)
    assert cold is not None
    assert cold[16] & 0x30 == 0x20


def test_scd41_gives_each_value_once_and_stops_slowly() -> None:
    """A value comes every 5 s; after a stop it answers nothing for half a second (3.5.3)."""
    clock = VirtualClock(START_MS)
    chip = Scd41(lambda: {"co2": 512, "air_temperature": 20.0, "relative_humidity": 50.0})
    chip.plugged(clock)
    assert chip.write(b"\x21\xb1")
    chip.write(b"\xe4\xb8")
    assert chip.read(3) == b"\x80\x00\xa2"
    clock.advance(5_000_000)
    chip.write(b"\xec\x05")
    assert (chip.read(9) or b"")[:2] == (512).to_bytes(2, "big")
    chip.write(b"\xec\x05")
    assert chip.read(9) is None
    assert chip.write(b"\x3f\x86")
    clock.advance(5_400_000)
    assert not chip.write(b"\x21\xb1")
    clock.advance(5_600_000)
    assert chip.write(b"\x21\xb1")


def test_bh1750_counts_and_sleeps() -> None:
    """0x8390 is 28067 lx (technical note, page 7); a measurement takes its time, then it sleeps."""
    clock, chip = VirtualClock(START_MS), Bh1750(lambda: {"illuminance": 28_066.67})
    chip.plugged(clock)
    chip.write(b"\x20")
    assert chip.read(2) == b"\0\0"
    clock.advance(120_000)
    assert chip.read(2) == b"\x83\x90"
    assert not chip.awake


def test_a_fifo_that_is_not_emptied_loses_the_oldest() -> None:
    """ADXL355: 96 entries, each third one marked as x; what did not fit is flagged until the status is read."""
    clock = VirtualClock(START_MS)
    still = {f"{name}_{axis}": 0.0 for name in ("velocity", "frequency", "tilt") for axis in "xyz"}
    chip = Adxl355(lambda: {**still, "tilt_z": 90.0})
    chip.plugged(clock)
    chip.write(b"\x28\x04")
    chip.write(b"\x2d\x00")
    clock.advance(100_000)
    chip.write(b"\x05")
    assert chip.read(1) == bytes((75,)), "25 samples at 250 a second"
    clock.advance(1_000_000)
    chip.write(b"\x04")
    assert chip.read(2) == bytes((0x07, 96))
    assert chip.write(b"\x04")
    assert (chip.read(1) or b"")[0] & 4 == 0
    chip.write(b"\x11")
    data = chip.read(9 * 33) or b""
    assert [data[at] & 1 for at in range(2, 27, 3)] == [1, 0, 0] * 3
    assert (data[6] << 12 | data[7] << 4 | data[8] >> 4) == 256_000, "1 g"
    assert data[9 * 32 + 2] & 2, "empty"


def test_a_magnetometer_without_set_and_reset_has_its_bridges_offset() -> None:
    """MMC5603: 16384 counts a gauss about 524288; only Auto_SR takes the offset out."""
    clock, chip = VirtualClock(START_MS), Mmc5603(lambda: {"x": 20.0, "y": 0.0, "z": -40.0})
    chip.plugged(clock)

    def field(order: int) -> list[float]:
        chip.write(bytes((0x1B, order)))
        chip.write(b"\x18")
        assert (chip.read(1) or b"")[0] & 0x40 == 0
        clock.advance(clock.now_us() + 7_000)
        chip.write(b"\x18")
        assert (chip.read(1) or b"")[0] & 0x40
        chip.write(b"\x00")
        data = chip.read(9) or b""
        counts = [data[2 * n] << 12 | data[2 * n + 1] << 4 | data[6 + n] >> 4 for n in range(3)]
        return [(one - 524_288) * 100 / 16_384 for one in counts]

    assert field(0x21) == pytest.approx([20, 0, -40], abs=0.01)
    assert field(0x01) != pytest.approx([20, 0, -40], abs=5)


def test_ds18b20_is_85_degrees_until_it_has_converted() -> None:
    """The scratchpad of figure 9 with its CRC; application note 27's example ROM has CRC A2."""
    assert crc8(bytes.fromhex("02 1c b8 01 00 00 00")) == 0xA2
    clock, chip = VirtualClock(START_MS), Ds18b20(lambda: {"temperature": -10.125})
    chip.plugged(clock)
    assert (chip.rom[0], crc8(chip.rom[:7])) == (0x28, chip.rom[7])

    def scratchpad() -> bytes:
        chip.reset()
        chip.write(0xBE)
        return bytes(chip.read() for _ in range(9))

    assert scratchpad()[:2] == b"\x50\x05"
    chip.reset()
    chip.write(0x44)
    assert chip.read() == 0, "it converts"
    assert scratchpad()[:2] == b"\x50\x05"
    clock.advance(750_000)
    data = scratchpad()
    assert data[:2] == b"\x5e\xff", "table 1: -10.125 Cel"
    assert crc8(data[:8]) == data[8]


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


def test_a_world_is_made_by_its_seed() -> None:
    """The same seed is the same world at any time; another one is another; a script wins; fractions stay in order."""
    one, same, other = World(1), World(1), World(2)
    keys = (
        "pm2_5",
        "air_temperature",
        "grid_phase_voltage:l1",
        "water_flow_rate",
        "electrode_voltage_we:no2",
    )
    for key in keys:
        assert one.value(key, START_MS) == same.value(key, START_MS)
        assert one.value(key, START_MS) != other.value(key, START_MS)
        assert one.value(key, START_MS) != one.value(key, START_MS + 7_200_000)
    assert one.value("inclination:x-a", START_MS) == pytest.approx(0.42, abs=0.06)
    assert one.value("grid_frequency:l1", START_MS) == one.value("grid_frequency:l2", START_MS)
    for hour in range(24):
        pm = [one.value(key, START_MS + hour * 3_600_000) for key in ("pm1", "pm2_5", "pm4", "pm10")]
        assert pm == sorted(pm)
        assert 0 <= one.value("ambient_illuminance", START_MS + hour * 3_600_000) < 54_612
    one.script("pm2_5", lambda _: math.inf)
    assert one.value("pm10", START_MS) == math.inf


def _board(name: str = "esp32-devkitc") -> dict[str, object]:
    found: dict[str, object] = json.loads((SOURCE / "boards" / f"{name}.json").read_text())
    return found


def test_every_driver_of_every_profile_has_its_sensor() -> None:
    """The profiles that are shipped can be soldered to their boards; each row has a sensor of its name."""
    for path in sorted((SOURCE / "profiles").glob("*.json")):
        profile = profile_of(path.stem)
        around = surroundings(profile, _board())
        assert list(around.sensors) == [row["name"] for row in profile["sensors"]]
        assert wiring_for(profile, _board()).devices()
    parts = (SOURCE / "qytet_node" / "parts.py").read_text()
    assert all(f"\n{name} " in parts for name in DRIVERS), "the drivers that the node knows"
    page = (ROOT / "docs/reference/simulated-sensors.md").read_text(encoding="utf-8")
    assert re.findall(r"^\| `(\w+)` \|", page, re.MULTILINE) == sorted(DRIVERS)


def _row(**more: object) -> dict[str, object]:
    return {"name": "one", "driver": "bh1750", "bus": "i2c0", "every_s": 1, "keys": {}, **more}


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ([_row(driver="crystal-ball")], "crystal-ball"),
        ([_row(), _row(name="two")], "two chips at 0x23"),
        ([_row(bus="i2c7")], "i2c7"),
        ([_row(driver="pir", bus="pin:nowhere")], "nowhere"),
        ([_row(options={"key": "moonlight"})], "moonlight"),
    ],
    ids=["driver", "address", "bus", "pin", "property"],
)
def test_what_cannot_be_wired_is_said_in_words(rows: list[Mapping[str, object]], words: str) -> None:
    """An unknown driver, bus or pin, and two chips at one address, are named with the sensor."""
    with pytest.raises(InputError) as refused:
        surroundings({"sensors": rows}, _board())
    assert words in str(refused.value)


def test_settings_change_what_is_soldered() -> None:
    """Sensors are left out, pins and options replaced, as the node itself does with its settings."""
    settings = {"pins": {"in1": 14}, "sensors": {"light": None, "wind": {"options": {"per_hz": 1.0}}}}
    profile, board = fitted(profile_of("micromet"), _board(), settings)
    around = surroundings(profile, board)
    assert "light" not in around.sensors
    assert around.wiring.pins[14] is around.sensors["wind"]
    wind = next(row for row in profile["sensors"] if row["name"] == "wind")
    assert (wind["options"]["per_hz"], wind["options"]["debounce_ms"]) == (1.0, 5)
    with pytest.raises(InputError, match="no sensor moon"):
        fitted(profile_of("micromet"), _board(), {"sensors": {"moon": None}})
