"""Simulated chips on I2C and 1-Wire have the registers of their data sheets, and keep to their times and states."""

import errno
import struct

import pytest

from qytet_simulators.hardware.buses import I2c
from qytet_simulators.hardware.clock import VirtualClock
from qytet_simulators.hardware.protocol import Answer, Op, Question
from qytet_simulators.hardware.sensors.ads1115 import Ads1115
from qytet_simulators.hardware.sensors.adxl355 import Adxl355
from qytet_simulators.hardware.sensors.bh1750 import Bh1750
from qytet_simulators.hardware.sensors.bme688 import Bme688
from qytet_simulators.hardware.sensors.ds18b20 import Ds18b20, crc8
from qytet_simulators.hardware.sensors.mmc5603 import Mmc5603
from qytet_simulators.hardware.sensors.scd41 import Scd41
from qytet_simulators.hardware.wiring import Wiring
from qytet_simulators.instruments.i2c import I2cBus
from tests.hardware.sensor_wires import START_MS

SWING = ("tilt", "velocity", "frequency")
AIR = {"air_temperature": 21.5, "relative_humidity": 47.0, "air_pressure": 987.6, "gas_resistance": 81_000.0}


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


def test_whatever_a_program_writes_no_chip_is_an_error_of_the_bench() -> None:
    """An address alone is answered by whoever has it; rates may change at any time; inputs may be subtracted."""
    clock = VirtualClock(START_MS)
    vibration = Adxl355(lambda: dict.fromkeys((f"{what}_{a}" for what in SWING for a in "xyz"), 0.0))
    volts = Ads1115(lambda: {"volts0": 1.5, "volts1": 0.5, "volts2": 0.0, "volts3": 0.25})
    for chip in (vibration, volts):
        chip.plugged(clock)
    buses = I2c(clock, Wiring(i2c={(22, 21): I2cBus({0x1D: vibration, 0x48: volts})}))

    def ask(address: int, written: str, count: int = 0) -> Answer:
        data = struct.pack("<HHi", 22, 21, 400_000) + bytes.fromhex(written)
        return buses.handlers[Op.I2C](Question(Op.I2C, 0, address, count, 0, 0, data))

    assert (ask(0x1D, "").status, ask(0x48, "").status) == (0, 0)
    assert ask(0x49, "").status == -errno.ENODEV
    ask(0x1D, "2d00")
    clock.advance(clock.now_us() + 1_000_000)
    assert ask(0x1D, "11", 9).status == 0
    ask(0x1D, "2806")
    assert ask(0x1D, "05", 1).data == b"\0", "no sample yet at the new rate"
    for mux, difference in ((0, 1.0), (1, 1.25), (2, 0.25), (3, -0.25)):
        ask(0x48, f"01{0x8300 | mux << 12:04x}")
        clock.advance(clock.now_us() + 200_000)
        ask(0x48, "01", 2)
        (raw,) = struct.unpack(">h", ask(0x48, "00", 2).data)
        assert raw / 32768 * 4.096 == pytest.approx(difference, abs=0.001)
