"""The drivers in the VM, against frames that were put together by hand from the datasheets, sound and broken."""

import struct
from typing import Any

import pytest

from tests.firmware.driving import drive
from tests.servers.micropython import MicroPython


def _pms(pm1: int, pm2_5: int, pm10: int, *, length: int = 28, spoil: int = 0) -> bytes:
    words = [length, 9, 9, 9, pm1, pm2_5, pm10, 1, 2, 3, 4, 5, 6, 0x9700]
    frame = b"\x42\x4d" + struct.pack(">14H", *words)
    return frame + struct.pack(">H", sum(frame) + spoil)


PMS = "from qytet_node.drivers.pms5003 import PMS5003\nuart = Uart({answers!r})\nsensor = PMS5003(SerialPort(uart))"


@pytest.mark.parametrize(
    ("answers", "said"),
    [
        ([_pms(5, 12, 30)], {"pm1": 5, "pm2_5": 12, "pm10": 30}),
        ([b"\x00\x42\x11" + _pms(1, 2, 3)], {"pm1": 1, "pm2_5": 2, "pm10": 3}),
        ([_pms(5, 12, 30, spoil=1), _pms(6, 13, 31)], {"pm1": 6, "pm2_5": 13, "pm10": 31}),
        ([_pms(5, 12, 30, spoil=1)] * 3, ["error", "checksum"]),
        ([_pms(5, 12, 30, length=20)] * 3, ["error", "checksum"]),
        ([_pms(5, 12, 30)[:20]] * 3, ["error", "short"]),
        ([b"", b"", b""], ["error", "timeout"]),
        ([_pms(5, 12, 1001)] * 3, ["error", "range"]),
        ([bytes(200)] * 3, ["error", "short"]),
    ],
    ids=["good", "after noise", "tried again", "sum", "length", "short", "silent", "range", "noise only"],
)
def test_pms5003(micropython: MicroPython, answers: list[bytes], said: object) -> None:
    """Only a whole frame with the right sum and possible values is a reading."""
    assert drive(micropython, PMS.format(answers=answers), "sensor.read()") == [said]


def test_pms5003_says_what_the_datasheet_lists(micropython: MicroPython) -> None:
    """Wake, passive mode, read and sleep are the datasheet's seven bytes each."""
    setup = PMS.format(answers=[b"", b"", _pms(1, 2, 3), b""])
    steps = ["sensor.start()", "sensor.read()", "sensor.stop()", "sent()"]
    setup += "\nasync def sent():\n    return [one.hex() for one in uart.sent]"
    *_, sent = drive(micropython, setup, *steps)
    assert sent == ["424de400010174", "424de100000170", "424de200000171", "424de400000173"]


def _sds(kind: int, data: bytes, spoil: int = 0, tail: int = 0xAB) -> bytes:
    return b"\xaa" + bytes([kind]) + data + bytes([(sum(data) + spoil) & 255, tail])


_SDS_VALUES = struct.pack("<HH", 123, 4567) + b"\x12\x34"
SDS = "from qytet_node.drivers.sds011 import SDS011\nuart = Uart({answers!r})\nsensor = SDS011(SerialPort(uart))"


@pytest.mark.parametrize(
    ("answers", "said"),
    [
        ([_sds(0xC0, _SDS_VALUES)], {"pm2_5": 12.3, "pm10": 456.7}),
        ([_sds(0xC0, _SDS_VALUES, spoil=1)] * 3, ["error", "checksum"]),
        ([_sds(0xC0, _SDS_VALUES, tail=0)] * 3, ["error", "checksum"]),
        ([_sds(0xC0, struct.pack("<HH", 10000, 1) + b"\x12\x34")] * 3, ["error", "range"]),
        ([b"\xaa\xc0\x01"] * 3, ["error", "short"]),
        ([b""] * 3, ["error", "timeout"]),
    ],
    ids=["good", "sum", "tail", "range", "short", "silent"],
)
def test_sds011(micropython: MicroPython, answers: list[bytes], said: object) -> None:
    """Tenths of micrograms, low byte first; a frame that is wrong anywhere is none."""
    assert drive(micropython, SDS.format(answers=answers), "sensor.read()") == [said]


def test_sds011_sleeps_between_readings(micropython: MicroPython) -> None:
    """Start wakes it and sets it to answer when asked; stop sends the datasheet's sleep command."""
    answers = [_sds(0xC5, b"\x06\x01\x01\x00\x12\x34"), _sds(0xC5, b"\x02\x01\x01\x00\x12\x34")]
    setup = SDS.format(answers=answers) + "\nasync def sent():\n    return [one.hex() for one in uart.sent]"
    *_, sent = drive(micropython, setup, "sensor.start()", "sensor.stop()", "sent()")
    assert sent == [
        "aab406010100000000000000000000ffff06ab",
        "aab402010100000000000000000000ffff02ab",
        "aab406010000000000000000000000ffff05ab",
    ]


def _shdlc(command: int, data: bytes, state: int = 0, spoil: int = 0) -> bytes:
    body = bytes([0, command, state, len(data)]) + data
    body += bytes([(~sum(body) + spoil) & 255])
    stuffed = b"".join(bytes([0x7D, b ^ 0x20]) if b in (0x7E, 0x7D, 0x11, 0x13) else bytes([b]) for b in body)
    return b"\x7e" + stuffed + b"\x7e"


_SPS_NUMBERS = [1.5, 2.25, 3.5, 4.75, 17.0, 6.0, 7.0, 8.0, 9.0, 0.5]
SPS = "from qytet_node.drivers.sps30 import SPS30\nuart = Uart({answers!r})\nsensor = SPS30(SerialPort(uart))"


@pytest.mark.parametrize(
    ("answers", "said"),
    [
        (
            [_shdlc(3, struct.pack(">10f", *_SPS_NUMBERS))],
            {"pm1": 1.5, "pm2_5": 2.25, "pm4": 3.5, "pm10": 4.75, "particle_number_concentration_pm0_5": 17},
        ),
        ([_shdlc(3, struct.pack(">10f", *_SPS_NUMBERS), spoil=1)] * 3, ["error", "checksum"]),
        ([_shdlc(3, b"")] * 3, ["error", "busy"]),
        ([_shdlc(3, b"\x00" * 20)] * 3, ["error", "short"]),
        ([_shdlc(3, struct.pack(">10f", 1, 2, 3, 1001, *[0] * 6))] * 3, ["error", "range"]),
        ([_shdlc(3, struct.pack(">10f", 1, float("nan"), 3, 4, *[0] * 6))] * 3, ["error", "range"]),
        ([_shdlc(3, b"", state=0x43)] * 3, ["error", "busy"]),
        ([b"\x7e\x00\x03"] * 3, ["error", "short"]),
        ([b""] * 3, ["error", "timeout"]),
    ],
    ids=["good", "sum", "nothing new", "too little", "range", "no number", "state", "cut off", "silent"],
)
def test_sps30(micropython: MicroPython, answers: list[bytes], said: object) -> None:
    """Stuffed frames are unstuffed, floats are read, and nothing that is wrong becomes a reading."""
    found = drive(micropython, SPS.format(answers=answers), "sensor.read()")
    assert found[0] == said or (said == ["error", "short"] and found[0] in (["error", "timeout"], said))


def _sensirion(*values: int, spoil: int = 0) -> bytes:
    found = b""
    for value in values:
        word = struct.pack(">H", value)
        crc = 0xFF
        for byte in word:
            crc ^= byte
            for _ in range(8):
                crc = (crc << 1 ^ 0x31) & 255 if crc & 128 else crc << 1
        found += word + bytes([crc ^ spoil])
    return found


SCD = "from qytet_node.drivers.scd41 import SCD41\nbus = I2C(0x62, {answers!r})\nsensor = SCD41(bus, pressure_hpa={p})"
_READY, _READ = b"\xe4\xb8", b"\xec\x05"


@pytest.mark.parametrize(
    ("answers", "said"),
    [
        (
            {_READY: _sensirion(0x8006), _READ: _sensirion(612, 0x6667, 0x5EB9)},
            {"co2": 612, "air_temperature": 25.0, "relative_humidity": 37.0},
        ),
        ({_READY: _sensirion(0x8000)}, ["error", "busy"]),
        ({_READY: _sensirion(6), _READ: _sensirion(612, 1, 1, spoil=1)}, ["error", "checksum"]),
        ({_READY: _sensirion(6), _READ: _sensirion(0, 1, 1)}, ["error", "range"]),
        ({_READY: _sensirion(6), _READ: _sensirion(612)}, ["error", "short"]),
        ({}, ["error", "absent"]),
    ],
    ids=["good", "not ready", "crc", "range", "short", "absent"],
)
def test_scd41(micropython: MicroPython, answers: dict[bytes, bytes], said: Any) -> None:
    """Every word's CRC is checked; 0xBEEF has the datasheet's 0x92; the values follow section 3.6.2."""
    assert _sensirion(0xBEEF)[2] == 0x92
    (found,) = drive(micropython, SCD.format(answers=answers, p=None), "sensor.read()")
    if isinstance(said, dict) and isinstance(found, dict):
        found = {key: round(value, 1) for key, value in found.items()}
    assert found == said


def test_scd41_is_told_the_pressure_of_its_place(micropython: MicroPython) -> None:
    """Start stops what runs, sets the pressure with its CRC, and begins to measure."""
    setup = SCD.format(answers={}, p=915) + "\nasync def sent():\n    return [one.hex() for one in bus.sent]"
    *_, sent = drive(micropython, setup, "sensor.start()", "sent()")
    assert sent == ["3f86", "e000" + _sensirion(915).hex(), "21b1"]


ADS = "from qytet_node.drivers.ads1115 import ADS1115\nadc = ADS1115(I2C(0x48, {answers!r}), scale=2.048)"


@pytest.mark.parametrize(
    ("raw", "ready", "said"),
    [
        (16384, b"\x80\x00", 1.024),
        (-160, b"\x80\x00", -0.01),
        (32767, b"\x80\x00", ["error", "range"]),
        (100, b"\x00\x00", ["error", "timeout"]),
    ],
    ids=["half", "negative", "full scale", "never ready"],
)
def test_ads1115(micropython: MicroPython, raw: int, ready: bytes, said: object) -> None:
    """Counts become volts by the gain that was set; full scale is no value, as the truth may lie beyond."""
    answers = {b"\x01": ready, b"\x00": struct.pack(">h", raw)}
    assert drive(micropython, ADS.format(answers=answers), "adc.volts(2)") == [said]


LOOP = """
from qytet_node.drivers.current_loop import CurrentLoop
async def volts(channel):
    return {ma} * 0.1
sensor = CurrentLoop((volts, 2), "water_pressure:inlet", 0, 10, shunt_ohm=100.0)
"""


@pytest.mark.parametrize(
    ("ma", "said"),
    [
        (4.0, 0.0),
        (20.0, 10.0),
        (12.0, 5.0),
        (3.85, -0.09375),
        (3.59, ["error", "absent"]),
        (3.7, ["error", "range"]),
        (0.0, ["error", "absent"]),
        (20.7, ["error", "range"]),
        (21.0, ["error", "range"]),
    ],
)
def test_current_loop(micropython: MicroPython, ma: float, said: object) -> None:
    """3.8 to 20.5 mA is a value; a broken wire and a fault current are told apart (NAMUR NE 43)."""
    (found,) = drive(micropython, LOOP.format(ma=ma), "sensor.read()")
    if isinstance(found, dict):
        found = round(found["water_pressure:inlet"], 5)
    assert found == said


@pytest.mark.parametrize(
    ("raw", "said"), [(b"\x12\x0c", 3850.0), (b"\x00\x00", 0), (b"\xff\xff", ["error", "range"])]
)
def test_bh1750(micropython: MicroPython, raw: bytes, said: object) -> None:
    """Counts over 1.2 are lux; the highest count is no value; sleep is sent at the end."""
    setup = f"from qytet_node.drivers.bh1750 import BH1750\nsensor = BH1750(I2C(0x23, {{b'\\x20': {raw!r}}}))"
    (found,) = drive(micropython, setup, "sensor.read()")
    assert (found if isinstance(found, list) else found["photocell_illuminance"]) == said


def test_an_absent_chip_is_told_as_absent(micropython: MicroPython) -> None:
    """A bus error becomes `absent` after three tries, at start and at reading, and stopping never fails."""
    setup = "from qytet_node.drivers.bh1750 import BH1750\nsensor = BH1750(I2C(0x10, {}))"
    found = drive(micropython, setup, "sensor.start()", "sensor.read()", "sensor.stop()")
    assert found == [["error", "absent"], ["error", "absent"], None]
