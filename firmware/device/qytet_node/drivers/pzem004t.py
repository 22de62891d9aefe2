"""Peacefair PZEM-004T v3: voltage, current, power, energy of one phase, by Modbus RTU over UART at 9600 baud, 8N1.

User manual V3.0, 2.3: ten input registers from 0x0000; 32-bit values come low word first. Its energy counter lives in
the module, ends at 9999.99 kWh and starts again at 0; it is never reset from here, and its alarm is not used.
"""

import struct

from qytet_node.drivers.crc import crc16_modbus
from qytet_node.drivers.errors import BUSY, CHECKSUM, RANGE, SHORT, SensorError, tried
from qytet_node.drivers.keys import keyed

GENERAL = 0xF8
"""The address that a module answers whatever its own is, if it is alone (2.2)."""
_READ_INPUTS, _COUNT = 0x04, 10
_KINDS = {
    "lamp": (
        "lamp_supply_voltage",
        "lamp_supply_current",
        "lamp_active_power",
        "lamp_energy_total",
        "grid_frequency",
        "lamp_power_factor",
    ),
    "grid": (
        "grid_phase_voltage",
        "grid_current",
        "grid_active_power",
        "grid_energy_import_total",
        "grid_frequency",
        "grid_power_factor",
    ),
}
_MOST = (2600, 100000, 260000, 99999999, 650)
"""Tenths of V, mA, tenths of W, Wh, tenths of Hz (manual, 1: 260 V, 100 A, 65 Hz)."""


class PZEM004T:
    """`kind` says what it measures: a "lamp" (W) or the "grid" (kW)."""

    WARM_UP_MS = 1000
    MIN_INTERVAL_MS = 500

    def __init__(self, port, address=GENERAL, kind="lamp", channel=""):
        self._port, self._address = port, address
        self.PROPERTIES = _KINDS[kind]
        self._keys = [keyed(name, channel) for name in self.PROPERTIES]
        self._watts = 10 if kind == "lamp" else 10000

    async def start(self):
        """Nothing to wake."""

    async def read(self):
        """V, A, W or kW, kWh, Hz, and the power factor: None while no current flows."""
        return await tried(self._measure)

    async def stop(self):
        """Nothing to stop."""

    async def _measure(self):
        words = struct.unpack(">10H", await self._ask())
        current = words[1] | words[2] << 16
        raw = (words[0], current, words[3] | words[4] << 16, words[5] | words[6] << 16, words[7])
        for value, most in zip(raw, _MOST):
            if value > most:
                raise SensorError(RANGE, str(raw))
        if words[8] > 100:
            raise SensorError(RANGE, "power factor %d" % words[8])
        factor = words[8] / 100 if current else None
        scaled = (raw[0] / 10, current / 1000, raw[2] / self._watts, raw[3] / 1000, raw[4] / 10, factor)
        return dict(zip(self._keys, scaled))

    async def _ask(self):
        question = struct.pack(">BBHH", self._address, _READ_INPUTS, 0, _COUNT)
        self._port.forget()
        self._port.write(question + struct.pack("<H", crc16_modbus(question)))
        head = await self._port.exactly(3, 1000)
        rest = await self._port.exactly(2 if head[1] & 0x80 else 2 * _COUNT + 2, 200)
        if crc16_modbus(head + rest[:-2]) != rest[-2] | rest[-1] << 8:
            raise SensorError(CHECKSUM)
        if head[1] & 0x80:
            raise SensorError(BUSY, "exception %d" % head[2])
        if self._address not in (GENERAL, head[0]) or head[1:] != bytes((_READ_INPUTS, 2 * _COUNT)):
            raise SensorError(SHORT, "an answer to something else")
        return rest[:-2]
