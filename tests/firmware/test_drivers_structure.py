"""Vibration in whole numbers against sines and numpy, the ADXL355, and a parking place by its field."""

import importlib.util
import math
from itertools import pairwise
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from tests.firmware.device import DEVICE, run
from tests.firmware.driving import drive
from tests.servers.micropython import MicroPython

RATE, SHIFT = 250, 7
PER_COUNT = 9806.65 / 256000  # mm/s2
CORNER = RATE / (2 * math.pi * 2**SHIFT)
SETTLE = 12 << SHIFT
WINDOW = 2500


def _module() -> ModuleType:
    """vibration.py as CPython runs it: it imports nothing."""
    path = DEVICE / "qytet_node" / "drivers" / "vibration.py"
    spec = importlib.util.spec_from_file_location("vibration_under_test", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _counts(
    waves: dict[float, float], *, level: float = 0.0, noise_mg: float = 0.0, seed: int = 1
) -> list[int]:
    """Acceleration in counts of velocities {Hz: mm/s}, on a constant level in g."""
    t = np.arange(SETTLE + WINDOW) / RATE
    total = np.full(t.size, level * 9806.65)
    for number, (hertz, speed) in enumerate(waves.items()):
        total += speed * 2 * np.pi * hertz * np.sin(2 * np.pi * hertz * t + number)
    total += np.random.default_rng(seed).normal(0, noise_mg * 9.80665, t.size) if noise_mg else 0
    return [round(value) for value in (total / PER_COUNT).tolist()]


def _measured(counts: list[int]) -> tuple[float, float | None, float, float]:
    axis = _module().Axis(RATE, PER_COUNT, SHIFT)
    axis.begin(counts[0])
    for sample in counts[:SETTLE]:
        axis.add(sample)
    axis.clear()
    for sample in counts[SETTLE:]:
        axis.add(sample)
    found: tuple[float, float | None, float, float] = axis.take()
    return found


def _by_numpy(counts: list[int]) -> tuple[float, float]:
    """Peak velocity and its half wave's frequency: integration in the frequency domain, with the same two corners."""
    a = np.array(counts) * PER_COUNT
    spectrum = np.fft.rfft(a - a.mean(), 4 * a.size)
    s = 2j * np.pi * np.fft.rfftfreq(4 * a.size, 1 / RATE)
    s[0] = 1
    corner = 2 * np.pi * CORNER
    velocity = np.fft.irfft(spectrum * s / (s + corner) ** 2)[SETTLE : a.size]
    signs = np.nonzero(np.diff(np.signbit(velocity)))[0]
    places = signs + velocity[signs] / (velocity[signs] - velocity[signs + 1])
    best = max(
        pairwise(places.tolist()),
        key=lambda pair: float(np.abs(velocity[math.ceil(pair[0]) : int(pair[1]) + 1]).max(initial=0)),
    )
    return float(np.abs(velocity).max()), RATE / 2 / (best[1] - best[0])


@pytest.mark.parametrize("level", [0.0, 1.0, -0.7])
@pytest.mark.parametrize(
    ("hertz", "allowed"), [(1, 0.1), (2, 0.04), (3, 0.03), (8, 0.02), (20, 0.03), (40, 0.08)]
)
def test_a_sine_has_its_velocity_and_frequency(hertz: float, allowed: float, level: float) -> None:
    """From 2 to 40 Hz the peak is right within the stated error, whatever gravity's share; the frequency within 2 %."""
    for speed in (0.5, 3.0, 20.0):
        velocity, frequency, rms, peak = _measured(_counts({hertz: speed}, level=level))
        assert velocity == pytest.approx(speed, rel=allowed, abs=0.02)
        assert frequency == pytest.approx(hertz, rel=0.02)
        assert peak == pytest.approx(speed * 2 * math.pi * hertz, rel=0.08)
        assert rms == pytest.approx(speed * 2 * math.pi * hertz / math.sqrt(2), rel=0.08)


@pytest.mark.parametrize(
    "waves",
    [{5: 2.0, 31: 6.0}, {4: 8.0, 50: 1.0}, {2.5: 1.0, 9: 1.0, 23: 1.0}, {12: 0.4}],
    ids=["fast on slow", "slow on fast", "three", "small"],
)
def test_mixtures_agree_with_numpy(waves: dict[float, float]) -> None:
    """Peak and frequency of mixed waves with the chip's own noise are what integration by FFT says."""
    counts = _counts(waves, level=1.0, noise_mg=0.18)
    velocity, frequency, *_ = _measured(counts)
    reference, dominant = _by_numpy(counts)
    assert velocity == pytest.approx(reference, rel=0.06, abs=0.05)
    assert frequency == pytest.approx(dominant, rel=0.05)


def test_a_quiet_structure_is_quiet() -> None:
    """A level alone gives no velocity, and the chip's own noise stays below the floor for frequencies."""
    assert _measured(_counts({}, level=1.0))[:2] == (0, None)
    assert all(_measured(_counts({}, level=1.0, noise_mg=0.18, seed=seed))[0] < 0.3 for seed in range(5))


def test_a_shock_is_a_peak_of_its_half_wave() -> None:
    """A short burst of 12 Hz between long rests is found with its own frequency, not an average's."""
    t = (np.arange(SETTLE + WINDOW) - SETTLE - 800) / RATE
    velocity_of = 5 * np.exp(-((t / 0.06) ** 2)) * np.cos(2 * np.pi * 12 * t)
    push = np.gradient(velocity_of, 1 / RATE)
    counts = [round(value) for value in (push / PER_COUNT).tolist()]
    velocity, frequency, *_ = _measured(counts)
    reference, dominant = _by_numpy(counts)
    assert velocity == pytest.approx(reference, rel=0.05)
    assert frequency == pytest.approx(dominant, rel=0.1)
    assert 4 < velocity < 6


def test_the_vm_computes_what_cpython_computes(micropython: MicroPython) -> None:
    """The same samples give the same result in the VM, to the last bit of its whole numbers."""
    counts = _counts({7: 3.0}, level=0.5, noise_mg=0.2)
    code = f"""
import json, sys
from qytet_node.drivers.vibration import Axis
counts = {counts!r}
axis = Axis({RATE}, {PER_COUNT!r}, {SHIFT})
axis.begin(counts[0])
for number, sample in enumerate(counts):
    if number == {SETTLE}:
        axis.clear()
    axis.add(sample)
print(json.dumps(axis.take()))
"""
    (found,) = run(micropython, code, heap="512wK")
    assert found == pytest.approx(_measured(counts), rel=1e-12)


CHIP = """
import errno, math
class Chip:
    # The ADXL355's registers and FIFO; every look at the number of entries lets `pace` samples pass.
    def __init__(self, speed=4.0, hertz=10.0, pace=30, rate=250, level=(0.0, 0.1, 0.995)):
        self.at, self.read_to, self.pace, self.rate = 0, 0, pace, rate
        self.speed, self.hertz, self.level, self.set, self.ids = speed, hertz, level, {}, {0: 0xAD, 2: 0xED}
        self.overrun, self.fail, self.slip = False, 0, False
    def writeto_mem(self, address, register, data):
        self.set[register] = data[0]
    def readfrom_mem_into(self, address, register, buffer):
        if self.fail:
            self.fail -= 1
            raise OSError(errno.ENODEV)
        if register == 0x11:
            return self.fifo(buffer)
        if register == 5:
            self.at += self.pace
            if self.at - self.read_to > 32:
                self.overrun, self.read_to = True, self.at - 32
            buffer[0] = 3 * (self.at - self.read_to)
        elif register == 4:
            buffer[0], self.overrun = 4 if self.overrun else 0, False
        else:
            buffer[0] = self.ids.get(register, 0)
    def fifo(self, buffer):
        for place in range(0, len(buffer), 3):
            axis, one = place // 3 % 3, self.read_to + place // 9
            w = 2 * math.pi * self.hertz
            g = self.level[axis] + (self.speed * w * math.sin(w * one / self.rate) / 9806.65 if axis == 0 else 0)
            raw = int(g * 256000) & 0xFFFFF
            mark = 1 if axis == (1 if self.slip else 0) else 0
            buffer[place], buffer[place + 1], buffer[place + 2] = raw >> 12, raw >> 4 & 255, raw << 4 & 255 | mark
        self.read_to += len(buffer) // 9
        self.slip = False
from qytet_node.drivers.adxl355 import ADXL355
chip = Chip()
sensor = ADXL355(chip, window_ms=2000)
async def do(change):
    change()
"""


def _structure(vm: MicroPython, setup: str, *steps: str) -> list[Any]:
    return drive(vm, CHIP + setup, *steps)


def test_adxl355_reports_each_axis(micropython: MicroPython) -> None:
    """What shakes is seen on its axis alone, with its frequency; inclination is gravity's; its setup is right."""
    setup = "async def registers():\n    return [chip.set[0x28], chip.set[0x2c], chip.set[0x2d]]\n"
    _, found, again, registers = _structure(
        micropython, setup, "sensor.start()", "sensor.read()", "sensor.read()", "registers()"
    )
    assert registers == [4, 1, 0]
    for one in (found, again):
        assert one["peak_particle_velocity:x"] == pytest.approx(4.0, rel=0.02)
        assert one["ppv_dominant_frequency:x"] == pytest.approx(10, rel=0.02)
        assert one["acceleration_peak:x"] == pytest.approx(4e-3 * 2 * math.pi * 10, rel=0.02)
        assert one["acceleration_rms:x"] == pytest.approx(4e-3 * 2 * math.pi * 10 / math.sqrt(2), rel=0.02)
        assert one["peak_particle_velocity:y"] < 0.05
        assert one["ppv_dominant_frequency:y"] is None
        assert one["inclination:y"] == pytest.approx(math.degrees(math.atan2(0.1, 0.995)), abs=0.05)
        assert one["inclination:z"] == pytest.approx(84.26, abs=0.05)


@pytest.mark.parametrize(
    "change",
    ["setattr(chip, 'at', chip.at + 5000)", "setattr(chip, 'slip', True)", "setattr(chip, 'fail', 2)"],
)
def test_adxl355_begins_anew_after_a_gap(micropython: MicroPython, change: str) -> None:
    """Lost samples, a FIFO out of step and a bus error in between never look like a shock."""
    steps = ["sensor.start()", "sensor.read()", f"do(lambda: {change})", "sensor.read()"]
    found = _structure(micropython, "", *steps)[3]
    assert found["peak_particle_velocity:x"] == pytest.approx(4.0, rel=0.02)
    assert found["peak_particle_velocity:z"] < 0.05


@pytest.mark.parametrize(
    ("setup", "said"),
    [
        ("chip.ids[2] = 0xEC\n", "absent"),
        ("chip.fail = 99\n", "absent"),
        ("chip.pace = 0\n", "busy"),
        ("chip.level = (0, 0, 2.04)\n", "range"),
        ("chip.speed, chip.hertz, chip.level = 250, 10, (0.5, 0, 0.8)\n", "range"),
    ],
    ids=["another chip", "silent", "no samples", "level", "clipped"],
)
def test_adxl355_refuses(micropython: MicroPython, setup: str, said: str) -> None:
    """Another chip, one that stands still, and one at its limit give no reading."""
    found = _structure(micropython, setup, "sensor.start()", "sensor.read()")
    assert ["error", said] in found


MAGNET = """
from pins import Clock
from qytet_node.drivers.mmc5603 import MMC5603
from qytet_node.drivers.occupancy import Kept
import struct
clock = Clock()
class Chip:
    def __init__(self, ut=(20.0, 5.0, 40.0)):
        self.ut, self.ready, self.id, self.blank = list(ut), True, 0x10, None
    def writeto_mem(self, address, register, data):
        assert (register, data) == (0x1B, b"\\x21")
    def readfrom_mem(self, address, register, size):
        if register == 0x39:
            return bytes((self.id,))
        if register == 0x18:
            return b"\\x40" if self.ready else b"\\x00"
        if self.blank is not None:
            return self.blank
        counts = [int(value * 163.84) + 524288 for value in self.ut]
        return b"".join(bytes((one >> 12, one >> 4 & 255)) for one in counts) + bytes(one << 4 & 255 for one in counts)
chip = Chip()
async def seconds(count, ut=None, drift=0.0, each=1000):
    if ut:
        chip.ut = list(ut)
    for _ in range(count):
        clock.wait(each)
        chip.ut[0] += drift
        last = await sensor.read()
    return last
"""


def _parking(vm: MicroPython, setup: str, *steps: str) -> list[Any]:
    made = "sensor = MMC5603(chip, clock=clock, channel='a7')\n"
    return drive(vm, MAGNET + made + setup, *steps)


def test_a_vehicle_is_seen_after_it_has_stayed(micropython: MicroPython) -> None:
    """Occupied after 7 s over the threshold, free after 7 s below the lower one; a tram of 4 s changes nothing."""
    parked, tram = "(35.0, 5.0, 30.0)", "(20.0, 60.0, 40.0)"
    steps = ["sensor.start()", "seconds(20)", f"seconds(4, {tram})", "seconds(5, (20.0, 5.0, 40.0))"]
    steps += [f"seconds(6, {parked})", "seconds(1)", "seconds(3, (26.0, 5.0, 40.0))"]
    steps += ["seconds(6, (20.0, 5.0, 40.0))", "seconds(1)"]
    found = [one["parking_space_occupied:a7"] for one in _parking(micropython, "", *steps)[1:]]
    assert found == [0, 0, 0, 0, 1, 1, 1, 0]


def test_the_baseline_follows_temperature_but_no_vehicle(micropython: MicroPython) -> None:
    """A drift of 30 uT in an hour is followed; under a vehicle the baseline stands still, for hours."""
    steps = ["sensor.start()", "seconds(3600, None, 30 / 3600)", "seconds(60, (65.0, 5.0, 40.0))"]
    steps += ["seconds(3600)", "seconds(60, (50.0, 5.0, 40.0))"]
    found = [one["parking_space_occupied:a7"] for one in _parking(micropython, "", *steps)[1:]]
    assert found == [0, 1, 1, 0]


def test_a_vehicle_is_still_seen_after_a_reset(micropython: MicroPython, tmp_path: Any) -> None:
    """The baseline outlives a reset; a broken file is none; calibrating takes the field as the empty place's."""
    kept = tmp_path / "baseline"
    setup = f"sensor = MMC5603(chip, store=Kept({str(kept)!r}), clock=clock, raw=True)\n"
    first = _parking(micropython, setup, "sensor.start()", "seconds(20)")
    assert first[1]["magnetic_flux_density:z"] == pytest.approx(40, abs=0.01)
    steps = ["sensor.start()", "seconds(10, (35.0, 5.0, 30.0))", "free()", "seconds(10)"]
    free = "async def free():\n    sensor.calibrate()\n"
    found = _parking(micropython, setup + free, *steps)
    assert found[1]["parking_space_occupied"] == 1
    assert found[3]["parking_space_occupied"] == 0
    for broken in ("", "[1, 2]", '{"a": 1}'):
        kept.write_text(broken)
        assert _parking(micropython, setup, "sensor.start()", "seconds(10)")[1]["parking_space_occupied"] == 0


@pytest.mark.parametrize(
    ("setup", "said"),
    [
        ("chip.id = 0x11\n", "absent"),
        ("chip.ready = False\n", "busy"),
        ("chip.blank = bytes(9)\n", "checksum"),
        ("chip.ut = [3100.0, 0, 0]\n", "range"),
    ],
    ids=["another chip", "busy", "no field", "range"],
)
def test_mmc5603_refuses(micropython: MicroPython, setup: str, said: str) -> None:
    """Another chip, no measurement and an impossible field are no reading."""
    assert ["error", said] in _parking(micropython, setup, "sensor.start()", "sensor.read()")
