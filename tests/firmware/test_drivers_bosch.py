"""BME280 and BME688 in the VM: compensation in integers against the floating-point formulas, and broken answers."""

import random
import struct
from typing import Any

import pytest

from qytet_edge.inbox.i2c.bme280 import Trim
from qytet_edge.inbox.i2c.bme280 import compensated as in_floats
from tests.firmware.device import run
from tests.firmware.driving import drive
from tests.servers.micropython import MicroPython

# The worked example of BMP280's datasheet (BST-BMP280-DS001, 3.12): 519888 and 415148 are 25.08 Cel and 100653.27 Pa.
_LOW = struct.pack(
    "<HhhHhhhhhhhh", 27504, 26435, -1000, 36477, -10685, 3024, 2855, 140, -7, 15500, -14600, 6000
)
LOW = _LOW + b"\0" + bytes([75])
HIGH = struct.pack("<hBbBbb", 370, 0, 19, 0x27, 3, 30)
RAW = bytes([0x65, 0x5A, 0xC0, 0x7E, 0xED, 0x00, 0x6E, 0x2C])  # 415148, 519888, 28204


def _bme280(**answers: Any) -> str:
    chip = {
        b"\xd0": b"\x60",
        b"\x88": LOW,
        b"\xe1": HIGH,
        b"\xf3": b"\x00",
        b"\xf7": RAW,
    }
    for name, value in answers.items():
        chip[bytes.fromhex(name[1:])] = value
    return (
        "from qytet_node.drivers.bme280 import BME280\n"
        f"bus = I2C(0x76, {chip!r})\nsensor = BME280(bus)\n"
        "async def sent():\n    return [one.hex() for one in bus.sent]"
    )


def test_bme280_gives_the_datasheets_example(micropython: MicroPython) -> None:
    """The example of the datasheet comes out to 0.02 Pa, humidity as the floating-point formula has it."""
    _, found, sent = drive(micropython, _bme280(), "sensor.start()", "sensor.read()", "sent()")
    humidity = in_floats(Trim.parse(LOW, HIGH), 519888, 415148, 28204)[2]
    assert found["air_temperature"] == 25.08
    assert found["air_pressure"] == pytest.approx(1006.5327, abs=0.0002)
    assert found["relative_humidity"] == pytest.approx(humidity, abs=0.01)
    assert 20 < humidity < 80
    assert sent[-4:] == ["f201", "f425", "f3", "f7"]


@pytest.mark.parametrize(
    ("answers", "said"),
    [
        ({"xd0": b"\x58"}, "absent"),
        ({"x88": b"\xff" * 26}, "checksum"),
        ({"xf3": b"\x08"}, "busy"),
        ({"xf7": b"\x80\0\0\x80\0\0\x80\0"}, "busy"),
        ({"xf7": b"\xff\xff\xf0\x7e\xed\0\x6e\x2c"}, "range"),
        ({"xd0": None}, "absent"),
    ],
    ids=["another chip", "no coefficients", "busy", "not measured", "range", "silent"],
)
def test_bme280_refuses(micropython: MicroPython, answers: dict[str, Any], said: str) -> None:
    """Another chip, empty coefficients and a measurement that was not made are no readings."""
    assert drive(micropython, _bme280(**answers), "sensor.read()") == [["error", said]]


def test_bme280_in_integers_is_bme280_in_floats(micropython: MicroPython) -> None:
    """Over the whole range both formulas agree: to 0.01 Cel, 0.02 % and 1 Pa."""
    draw = random.Random(7)
    raws = [
        (draw.randint(400000, 640000), draw.randint(200000, 600000), draw.randint(15000, 45000))
        for _ in range(60)
    ]
    code = f"""
import json
from qytet_node.drivers.bme280 import compensated, trimming
trim = trimming({LOW!r}, {HIGH!r})
for raw in {raws!r}:
    print(json.dumps(compensated(trim, *raw)))
"""
    for raw, (centi, humid, pascal) in zip(raws, run(micropython, code), strict=True):
        temperature, pressure, humidity = in_floats(Trim.parse(LOW, HIGH), *raw)
        assert centi / 100 == pytest.approx(temperature, abs=0.011)
        assert humid / 1024 == pytest.approx(humidity, abs=0.02)
        assert pascal / 25600 == pytest.approx(pressure, abs=0.01)


# Coefficients as a BME688 has them, in the order of its registers.
T1, T2, T3 = 26203, 26519, 3
P = (35008, -10284, 88, 9692, -202, 30, 24, -516, -3469, 30)
H = (794, 1007, 0, 45, 20, 120, -100)
GH1, GH2, GH3 = -30, -5969, 18
HEAT_VALUE, HEAT_RANGE = 50, 1


def _coefficients() -> bytes:
    p1, p2, p3, p4, p5, p6, p7, p8, p9, p10 = P
    h1, h2, *rest = H
    data = bytearray(42)
    struct.pack_into("<hb", data, 0, T2, T3)
    struct.pack_into("<Hhb", data, 4, p1, p2, p3)
    struct.pack_into("<hhbb", data, 10, p4, p5, p7, p6)
    struct.pack_into("<hhB", data, 18, p8, p9, p10)
    data[23], data[24], data[25] = h2 >> 4, (h2 & 15) << 4 | h1 & 15, h1 >> 4
    struct.pack_into("<bbbBb", data, 26, *rest)
    struct.pack_into("<Hhbb", data, 31, T1, GH2, GH1, GH3)
    struct.pack_into("<b", data, 37, HEAT_VALUE)
    data[39] = HEAT_RANGE << 4
    return bytes(data)


def _air(raw_t: int, raw_p: int, raw_h: int) -> tuple[float, float, float]:
    """Cel, hPa, %: the datasheet's formulas in floating point."""
    p1, p2, p3, p4, p5, p6, p7, p8, p9, p10 = P
    h1, h2, h3, h4, h5, h6, h7 = H
    fine = (raw_t / 16384 - T1 / 1024) * T2 + (raw_t / 131072 - T1 / 8192) ** 2 * T3 * 16
    celsius = fine / 5120
    a = fine / 2 - 64000
    b = (a * a * p6 / 131072 + a * p5 * 2) / 4 + p4 * 65536
    scale = (1 + (p3 * a * a / 16384 + p2 * a) / 524288 / 32768) * p1
    pascal = (1048576 - raw_p - b / 4096) * 6250 / scale
    pascal += (
        p9 * pascal**2 / 2147483648 + pascal * p8 / 32768 + (pascal / 256) ** 3 * p10 / 131072 + p7 * 128
    ) / 16
    c = raw_h - (h1 * 16 + h3 / 2 * celsius)
    c *= h2 / 262144 * (1 + h4 / 16384 * celsius + h5 / 1048576 * celsius**2)
    humidity = c + (h6 / 16384 + h7 / 2097152 * celsius) * c * c
    return celsius, pascal / 100, min(max(humidity, 0), 100)


def _heater(celsius: int, ambient: int) -> float:
    """The heater's register, by the datasheet's formula in floating point."""
    warm = (GH1 / 16 + 49) * (1 + (GH2 / 32768 * 0.0005 + 0.00235) * celsius) + GH3 / 1024 * ambient
    return 3.4 * (warm * (4 / (4 + HEAT_RANGE)) * (1 / (1 + HEAT_VALUE * 0.002)) - 25)


def test_bme688_in_integers_is_bme688_in_floats(micropython: MicroPython) -> None:
    """Over the range both formulas agree: to 0.02 Cel, 0.2 hPa and 0.1 %, and the heater's register to 1."""
    draw = random.Random(11)
    raws = [
        (draw.randint(380000, 560000), draw.randint(250000, 480000), draw.randint(16000, 32000))
        for _ in range(60)
    ]
    heats = [(draw.randint(200, 400), draw.randint(-20, 45)) for _ in range(20)]
    code = f"""
import json
from qytet_node.drivers.bme688 import Trim
trim = Trim({_coefficients()!r})
print(json.dumps([trim.compensated(*raw) for raw in {raws!r}]))
print(json.dumps([trim.heater(*heat) for heat in {heats!r}]))
"""
    air, heaters = run(micropython, code)
    plausible = 0
    for raw, (centi, milli, pascal) in zip(raws, air, strict=True):
        temperature, pressure, humidity = _air(*raw)
        plausible += 10 < humidity < 90
        assert centi / 100 == pytest.approx(temperature, abs=0.02)
        assert pascal / 100 == pytest.approx(pressure, abs=0.2)
        assert milli / 1000 == pytest.approx(humidity, abs=0.1)
    assert plausible > 20
    for heat, register in zip(heats, heaters, strict=True):
        assert register == pytest.approx(_heater(*heat), abs=1)


def _field(*, new: int = 0x80, gas: int = 0x30, raw_t: int = 483712, raw_p: int = 330000) -> bytes:
    data = bytearray(17)
    data[0] = new
    data[2:5] = (raw_p << 4).to_bytes(3, "big")
    data[5:8] = (raw_t << 4).to_bytes(3, "big")
    data[8:10] = (21000).to_bytes(2, "big")
    data[15:17] = ((612 << 6) | gas | 5).to_bytes(2, "big")
    return bytes(data)


def _bme688(field: bytes, chip: bytes = b"\x61", variant: bytes = b"\x01") -> str:
    data = _coefficients()
    answers = {
        b"\xd0": chip,
        b"\xf0": variant,
        b"\x8a": data[:23],
        b"\xe1": data[23:37],
        b"\x00": data[37:],
        b"\x1d": field,
    }
    return (
        "from qytet_node.drivers.bme688 import BME688\n"
        f"bus = I2C(0x76, {answers!r})\nsensor = BME688(bus, heater_ms=100, channel='box')\n"
        "async def sent():\n    return [one.hex() for one in bus.sent]"
    )


def test_bme688_heats_and_says_raw_resistance(micropython: MicroPython) -> None:
    """Forced mode with the heater's profile; resistance by the datasheet's formula; 100 ms of heating are 25 x 4."""
    _, found, sent = drive(micropython, _bme688(_field()), "sensor.start()", "sensor.read()", "sent()")
    temperature, pressure, humidity = _air(483712, 330000, 21000)
    assert found["air_temperature:box"] == pytest.approx(temperature, abs=0.02)
    assert found["air_pressure:box"] == pytest.approx(pressure, abs=0.2)
    assert found["relative_humidity:box"] == pytest.approx(humidity, abs=0.1)
    assert found["gas_resistance:box"] == int(1e6 * (262144 >> 5) / (4096 + 3 * 100))
    began = sent.index("7000")
    assert int(sent[began + 1], 16) - 0x5A00 == pytest.approx(_heater(320, 25), abs=1)
    assert sent[began + 2 :] == ["6459", "7120", "7201", "7500", "7425", "1d"]


@pytest.mark.parametrize(
    ("setup", "said"),
    [
        (_bme688(_field(gas=0x20)), None),
        (_bme688(_field(gas=0x10)), None),
        (_bme688(_field(new=0)), "busy"),
        (_bme688(_field(raw_t=900000)), "range"),
        (_bme688(_field(), chip=b"\x60"), "absent"),
        (_bme688(_field(), variant=b"\x00"), "absent"),
    ],
    ids=["heater unstable", "gas invalid", "busy", "range", "another chip", "a BME680"],
)
def test_bme688_refuses(micropython: MicroPython, setup: str, said: str | None) -> None:
    """A resistance that the heater did not make is None, and what is impossible is no reading."""
    (found,) = drive(micropython, setup, "sensor.read()")
    if said:
        assert found == ["error", said]
    else:
        assert found["gas_resistance:box"] is None
        assert found["air_temperature:box"] is not None
