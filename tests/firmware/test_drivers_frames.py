"""PZEM-004T, JSN-SR04T, TF-Luna, DS18B20 and electrochemical cells in the VM: sound answers, broken ones, and what is
made of them."""

import struct
from typing import Any

import pytest

from tests.firmware.driving import drive, drive_each, rounded
from tests.servers.micropython import MicroPython


def _crc16(data: bytes) -> bytes:
    crc = 0xFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0xA001 if crc & 1 else 0)
    return struct.pack("<H", crc)


def _pzem(*words: int, unit: int = 1, spoil: int = 0) -> bytes:
    body = bytes([unit, 4, 20]) + struct.pack(">10H", *words)
    return body + bytes([_crc16(body)[0] ^ spoil, _crc16(body)[1]])


# 230.4 V; 70000 mA = 0x00011170; 161280 tenths of W = 0x00027600; 123456 Wh = 0x0001E240; 49.9 Hz; 0.99.
_FULL = (2304, 0x1170, 1, 0x7600, 2, 0xE240, 1, 499, 99, 0)
_DARK = (2304, 0, 0, 0, 0, 0xE240, 1, 500, 0, 0xFFFF)
PZEM = (
    "from qytet_node.drivers.pzem004t import PZEM004T\nuart = Uart({answers!r})\n"
    "sensor = PZEM004T(SerialPort(uart){options})\n"
    "async def sent():\n    return [one.hex() for one in uart.sent]"
)


def test_pzem_reads_32_bits_low_word_first(micropython: MicroPython) -> None:
    """The question is the manual's; values come in the catalogue's units, for a lamp and for the grid."""
    setup = PZEM.format(answers=[_pzem(*_FULL)], options="")
    found, sent = drive(micropython, setup, "sensor.read()", "sent()")
    assert rounded(found) == {
        "lamp_supply_voltage": 230.4,
        "lamp_supply_current": 70.0,
        "lamp_active_power": 16128.0,
        "lamp_energy_total": 123.456,
        "grid_frequency": 49.9,
        "lamp_power_factor": 0.99,
    }
    question = b"\xf8\x04\x00\x00\x00\x0a"
    assert sent == [(question + _crc16(question)).hex()]
    setup = PZEM.format(answers=[_pzem(*_FULL, unit=3)], options=", address=3, kind='grid', channel='l1'")
    (found,) = drive(micropython, setup, "sensor.read()")
    assert rounded(found)["grid_active_power:l1"] == 16.128
    assert rounded(found)["grid_energy_import_total:l1"] == 123.456


def test_pzem_knows_no_power_factor_in_the_dark(micropython: MicroPython) -> None:
    """Without current there is no power factor: None, not 0; an alarm changes nothing."""
    (found,) = drive(micropython, PZEM.format(answers=[_pzem(*_DARK)], options=""), "sensor.read()")
    assert found["lamp_power_factor"] is None
    assert found["lamp_active_power"] == 0


PZEM_BROKEN: list[tuple[bytes, str]] = [
    (_pzem(*_FULL, spoil=1), "checksum"),
    (_pzem(*_FULL)[:9], "short"),
    (b"", "timeout"),
    (b"\x01\x84\x04" + _crc16(b"\x01\x84\x04"), "busy"),
    (_pzem(2601, *_FULL[1:]), "range"),
    (_pzem(2304, 0xFFFF, 0xFFFF, *_FULL[3:]), "range"),
    (_pzem(*_FULL[:8], 101, 0), "range"),
    (_pzem(*_FULL[:3], 0, 0x7FFF, *_FULL[5:]), "range"),
]


def test_pzem_refuses(micropython: MicroPython) -> None:
    """What is not whole, not right or not possible is no reading."""
    setups = [PZEM.format(answers=[answer] * 3, options="") for answer, _ in PZEM_BROKEN]
    found = drive_each(micropython, setups, "sensor.read()")
    assert found == [["error", said] for _, said in PZEM_BROKEN]


def _sound(millimetres: int, spoil: int = 0) -> bytes:
    frame = b"\xff" + struct.pack(">H", millimetres)
    return frame + bytes([(sum(frame) + spoil) & 255])


def _light(centimetres: int, strength: int = 900, spoil: int = 0) -> bytes:
    frame = b"\x59\x59" + struct.pack("<HHH", centimetres, strength, 2248)
    return frame + bytes([(sum(frame) + spoil) & 255])


DISTANCE = (
    "from qytet_node.drivers.jsn_sr04t import JSNSR04T\nfrom qytet_node.drivers.tf_luna import TFLuna\n"
    "from qytet_node.drivers.distance import Distance\nuart = Uart({answers!r})\n"
    "sensor = Distance({finder}, {options})\n"
    "async def sent():\n    return [one.hex() for one in uart.sent]"
)
JSN = "JSNSR04T(SerialPort(uart))"
WASTE = "distance='waste_fill_distance', fill='waste_fill_level', empty_m=1.5, full_m=0.3"


def test_the_median_of_five_pings_becomes_a_level_and_a_fill(micropython: MicroPython) -> None:
    """One stray echo changes nothing; 0x55 is asked five times; fill is between its two distances."""
    answers = [_sound(value) for value in (902, 4400, 900, 899, 898)]
    setup = DISTANCE.format(answers=answers, finder=JSN, options=WASTE)
    found, sent = drive(micropython, setup, "sensor.read()", "sent()")
    assert rounded(found) == {"waste_fill_distance": 0.9, "waste_fill_level": 50.0}
    assert sent == ["55"] * 5
    setup = DISTANCE.format(
        answers=answers, finder=JSN, options="level='sewer_level', datum_m=3.2, channel='manhole'"
    )
    assert rounded(drive(micropython, setup, "sensor.read()")[0]) == {"sewer_level:manhole": 2.3}


def test_sound_is_corrected_for_the_airs_temperature(micropython: MicroPython) -> None:
    """At 35 Cel sound is 3.6 % faster than the sensor assumes; light is not; an unknown temperature changes nothing."""
    for celsius, metres in ((35, 0.9 * (331.3 + 0.606 * 35) / 340), (None, 0.9)):
        options = f"distance='sewer_level_distance', temperature=lambda: {celsius}"
        setup = DISTANCE.format(answers=[_sound(900)] * 5, finder=JSN, options=options)
        (found,) = drive(micropython, setup, "sensor.read()")
        assert found["sewer_level_distance"] == pytest.approx(metres)
    setup = DISTANCE.format(answers=[], finder="Same()", options="distance='a', temperature=lambda: 35")
    setup = setup.replace(
        "sensor =",
        "class Same:\n    PING_MS, SOUND = 1, False\n    async def millimetres(self):\n"
        "        return 900\nsensor =",
    )
    assert drive(micropython, setup, "sensor.read()") == [{"a": 0.9}]


ECHOES: list[tuple[list[bytes], Any]] = [
    ([_sound(900), _sound(200), _sound(899), _sound(0), _sound(901)], {"waste_fill_level": 50.0}),
    ([_sound(200)] * 15, ["error", "range"]),
    ([_sound(900), _sound(901)] + [_sound(4501)] * 9, ["error", "range"]),
    ([_sound(900, spoil=1)] * 3, ["error", "checksum"]),
    ([_sound(900)[:3]] * 3, ["error", "short"]),
    ([b""] * 3, ["error", "timeout"]),
    ([_sound(1600)] * 5, {"waste_fill_level": 0.0}),
    ([_sound(260)] * 5, {"waste_fill_level": 100.0}),
]


def test_jsn_sr04t(micropython: MicroPython) -> None:
    """What lies in the blind zone, beyond the range or behind a wrong sum is no ping; three of five count."""
    lost = (_sound(200), _sound(0), _sound(4501))
    setups = []
    for answers, _ in ECHOES:
        tries = [one for one in answers for _ in range(3 if one in lost else 1)]
        options = WASTE.replace("distance='waste_fill_distance', ", "")
        setups.append(DISTANCE.format(answers=tries, finder=JSN, options=options))
    found = drive_each(micropython, setups, "sensor.read()")
    assert [rounded(one) for one in found] == [said for _, said in ECHOES]


LUNA = """
from qytet_node.drivers.tf_luna import TFLuna
class Port(SerialPort):
    # It speaks unasked: after what is thrown away comes the next frame.
    def forget(self):
        super().forget()
        self.write(b"")
sensor = TFLuna(Port(Uart({answers!r})))
"""


LIGHTS: list[tuple[bytes, Any]] = [
    (_light(123), 1230),
    (b"\x00\x11" + _light(123), 1230),
    (_light(123, spoil=1), ["error", "checksum"]),
    (_light(123, strength=99), ["error", "range"]),
    (_light(123, strength=65535), ["error", "range"]),
    (_light(801), ["error", "range"]),
    (_light(123)[:6], ["error", "short"]),
    (b"", ["error", "timeout"]),
]


def test_tf_luna(micropython: MicroPython) -> None:
    """Centimetres count only with enough light behind them."""
    setups = [LUNA.format(answers=[answer] * 3) for answer, _ in LIGHTS]
    assert drive_each(micropython, setups, "sensor.millimetres()") == [said for _, said in LIGHTS]


def _scratchpad(sixteenths: int, *, spoil: int = 0, configuration: int = 0x7F) -> bytes:
    data = struct.pack("<hBBB", sixteenths, 0x4B, 0x46, configuration) + b"\xff\x0c\x10"
    crc = 0
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x8C if crc & 1 else 0)
    return data + bytes([crc ^ spoil])


ONEWIRE = """
from qytet_node.drivers.ds18b20 import DS18B20
class OneWire:
    def __init__(self, scratchpads, there=True):
        self.scratchpads, self.there, self.log, self._out = scratchpads, there, [], b""
    def reset(self, required=False):
        return self.there
    def select_rom(self, rom):
        self.log.append("rom " + rom.hex())
    def writebyte(self, byte):
        self.log.append("%02x" % byte)
        if byte == 0xBE:
            self._out = self.scratchpads.pop(0)
    def readbyte(self):
        byte, self._out = self._out[0], self._out[1:]
        return byte
"""


SCRATCHPADS: list[tuple[list[bytes], bool, Any]] = [
    ([_scratchpad(0x0191)], True, {"water_temperature": 25.0625}),
    ([_scratchpad(-162)], True, {"water_temperature": -10.125}),
    ([_scratchpad(0x0550), _scratchpad(300)], True, {"water_temperature": 18.75}),
    ([_scratchpad(0x0550)] * 3, True, ["error", "busy"]),
    ([_scratchpad(300, spoil=1)] * 3, True, ["error", "checksum"]),
    ([_scratchpad(2001)] * 3, True, ["error", "range"]),
    ([bytes(9)] * 3, True, ["error", "absent"]),
    ([], False, ["error", "absent"]),
]


def test_ds18b20(micropython: MicroPython) -> None:
    """A scratchpad counts with its CRC, its configuration, and not with the 85 Cel of a power-up."""
    setups = [
        f"{ONEWIRE}bus = OneWire({scratchpads!r}, {there})\nsensor = DS18B20(bus)"
        for scratchpads, there, _ in SCRATCHPADS
    ]
    assert drive_each(micropython, setups, "sensor.read()") == [said for *_, said in SCRATCHPADS]


def test_ds18b20_chooses_one_of_several(micropython: MicroPython) -> None:
    """With a ROM code that chip is converted and read, and no other."""
    setup = (
        f"{ONEWIRE}bus = OneWire([{_scratchpad(160)!r}])\n"
        "sensor = DS18B20(bus, 'container_temperature', rom=b'\\x28\\x01', channel='lid')\n"
        "async def log():\n    return bus.log"
    )
    found, log = drive(micropython, setup, "sensor.read()", "log()")
    assert found == {"container_temperature:lid": 10}
    assert log == ["rom 2801", "44", "rom 2801", "be"]


CELL = """
from qytet_node.drivers.electrochemical import Electrochemical
from qytet_node.drivers.errors import SensorError
def volts(value):
    async def measured(channel):
        if isinstance(value, str):
            raise SensorError(value)
        return value
    return measured, 0
"""
TABLE = [1.3, 1.3, 1.3, 1.3, 1.0, 0.6, 0.4, 0.2, -1.5]


def _cell(gas: str = "no2", algorithm: int = 1, **more: Any) -> dict[str, Any]:
    return {
        "gas": gas,
        "algorithm": algorithm,
        "we_e": 224,
        "ae_e": 226,
        "we_o": 220,
        "ae_o": 224,
        "sensitivity": 0.223,
        "table": TABLE,
        **more,
    }


def _ppb(algorithm: int, we: float, ae: float, celsius: float) -> float:
    """AAN 803 as written, with numpy-free interpolation."""
    low = int((celsius + 30) // 10)
    factor = TABLE[low] + (TABLE[min(low + 1, 8)] - TABLE[low]) * ((celsius + 30) / 10 - low)
    working, auxiliary = we - 224, ae - 226
    net = {
        1: working - factor * auxiliary,
        2: working - factor * (220 / 224) * auxiliary,
        3: working - (220 - 224) - factor * auxiliary,
        4: working - 220 - factor,
    }[algorithm]
    return net / 0.223


def test_a_cell_follows_aan_803(micropython: MicroPython) -> None:
    """Each algorithm, with the table interpolated between its nine temperatures, at 20 Cel's ug/m3 per ppb."""
    cases = [(algorithm, celsius) for algorithm in (1, 2, 3, 4) for celsius in (-30, 14, 50)]
    setups = [
        f"{CELL}sensor = Electrochemical(volts(0.262), volts(0.241), 'no2', {_cell(algorithm=algorithm)!r}, "
        f"temperature=lambda: {celsius})"
        for algorithm, celsius in cases
    ]
    for case, found in zip(cases, drive_each(micropython, setups, "sensor.read()"), strict=True):
        assert found["electrode_voltage_we:no2"] == pytest.approx(262)
        assert found["electrode_voltage_ae:no2"] == pytest.approx(241)
        assert found["no2"] == pytest.approx(_ppb(case[0], 262, 241, case[1]) * 1.9125, rel=1e-4)


@pytest.mark.parametrize(
    ("gas", "factor"), [("so2", 2.6633), ("co", 0.0011644), ("o3", 1.9953), ("no", 1.2474)]
)
def test_gases_have_the_eus_factors(micropython: MicroPython, gas: str, factor: float) -> None:
    """ppb become ug/m3 at 20 Cel, CO mg/m3; a negative concentration stays negative."""
    setup = f"{CELL}sensor = Electrochemical(volts(0.2), volts(0.226), 'x', {_cell(gas)!r}, temperature=lambda: 20)"
    (found,) = drive(micropython, setup, "sensor.read()")
    assert found[gas] == pytest.approx(-24 / 0.223 * factor, rel=1e-4)


def test_ozone_is_what_the_ox_cell_sees_beyond_nitrogen_dioxide(micropython: MicroPython) -> None:
    """The NO2 cell's ppb are subtracted; while they are unknown, so is the ozone, and the voltages are still sent."""
    setup = (
        f"{CELL}no2 = Electrochemical(volts(0.2463), volts(0.226), 'no2', {_cell()!r}, temperature=lambda: 20)\n"
        f"ox = Electrochemical(volts(0.2909), volts(0.226), 'ox', {_cell('o3')!r}, temperature=lambda: 20, no2=no2)"
    )
    before, no2, after = drive(micropython, setup, "ox.read()", "no2.read()", "ox.read()")
    assert before["o3"] is None
    assert before["electrode_voltage_we:ox"] == pytest.approx(290.9)
    assert no2["no2"] == pytest.approx(100 * 1.9125, rel=1e-3)
    assert after["o3"] == pytest.approx(200 * 1.9953, rel=1e-3)


@pytest.mark.parametrize(
    ("we", "temperature", "gas"),
    [("0.262", "None", None), ("0.262", "50.1", None), ("0.262", "-31", None), ("'range'", "20", None)],
    ids=["no temperature", "hot", "cold", "full scale"],
)
def test_raw_voltages_are_sent_when_the_gas_is_unknown(
    micropython: MicroPython, we: str, temperature: str, gas: object
) -> None:
    """Whatever hinders the formula, the voltages that were measured are sent."""
    setup = (
        f"{CELL}sensor = Electrochemical(volts({we}), volts(0.241), 'no2', {_cell()!r}, "
        f"temperature=lambda: {temperature})"
    )
    (found,) = drive(micropython, setup, "sensor.read()")
    assert found["no2"] is gas
    assert found["electrode_voltage_ae:no2"] == pytest.approx(241)
    assert (found["electrode_voltage_we:no2"] is None) == (we == "'range'")


def test_a_cell_needs_no_calibration_and_refuses_half_of_one(micropython: MicroPython) -> None:
    """Without coefficients the voltages alone are read; an incomplete calibration is refused at once."""
    broken = [
        _cell(algorithm=5),
        _cell("radon"),
        _cell(table=TABLE[:8]),
        _cell(sensitivity=0),
        {key: value for key, value in _cell().items() if key != "we_o"},
    ]
    setup = f"""{CELL}
refused = 0
for one in {broken!r}:
    try:
        Electrochemical(volts(1), volts(1), "x", one)
    except ValueError:
        refused += 1
async def count():
    return refused
raw = Electrochemical(volts(0.3), volts(0.2), "so2")
dead = Electrochemical(volts("absent"), volts(0.2), "so2")
"""
    refused, raw, dead = drive(micropython, setup, "count()", "raw.read()", "dead.read()")
    assert refused == len(broken)
    assert rounded(raw) == {"electrode_voltage_we:so2": 300, "electrode_voltage_ae:so2": 200}
    assert dead == ["error", "absent"]
