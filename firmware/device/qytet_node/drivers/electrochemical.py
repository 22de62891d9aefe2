"""An electrochemical cell with four electrodes (Alphasense B4 on its board): two voltages, and a gas made of them.

Alphasense Application Note AAN 803: four algorithms take the sensor's zero out, each with its table over temperature;
coefficients and sensitivity are those of the cell's own certificate. What was measured are the voltages: they are
always given, so that the gas can be computed anew by who knows better.
"""

from qytet_node.drivers.errors import RANGE, SensorError
from qytet_node.drivers.keys import keyed

_PER_PPB = {"no2": 1.9125, "no": 1.2474, "o3": 1.9953, "so2": 2.6633, "co": 0.0011644}
"""ug/m3 of 1 ppb at 20 Cel and 101.3 kPa (Directive 2024/2881); mg/m3 for CO."""
_COLDEST, _STEP = -30, 10
_NEEDED = ("we_e", "ae_e", "we_o", "ae_o", "sensitivity")


class Electrochemical:
    """`we` and `ae` are awaited for volts. `calibration`, if given, makes a gas of them:

    {"gas": "no2", "algorithm": 1, "we_e", "ae_e", "we_o", "ae_o" (mV), "sensitivity" (mV/ppb), "table": nine values at
    -30, -20 … 50 Cel}. `temperature()` says Cel, or None. `no2` is the driver of the NO2 cell beside an OX cell, which
    sees both gases: its ppb are subtracted (so it must be read before).
    """

    WARM_UP_MS = 7200000  # two hours after power-up (data sheets: stabilisation)
    MIN_INTERVAL_MS = 1000

    def __init__(self, we, ae, channel, calibration=None, temperature=None, no2=None, samples=4):
        self._inputs = (we, ae)
        self._keys = (keyed("electrode_voltage_we", channel), keyed("electrode_voltage_ae", channel))
        self._calibration, self._temperature, self._no2 = calibration, temperature, no2
        self._samples = samples
        self.ppb = None
        self.PROPERTIES = ("electrode_voltage_we", "electrode_voltage_ae")
        if calibration:
            _check(calibration)
            self.PROPERTIES += (calibration["gas"],)

    async def start(self):
        """Nothing to wake: the cell is always under voltage."""

    async def read(self):
        """Both voltages in mV; a gas in ug/m3 (CO in mg/m3), None where it cannot be known."""
        self.ppb = None
        found = {}
        for key, volts in zip(self._keys, self._inputs):
            found[key] = await self._millivolts(volts)
        if self._calibration:
            self.ppb = self._gas(*(found[key] for key in self._keys))
            gas = self._calibration["gas"]
            found[gas] = None if self.ppb is None else self.ppb * _PER_PPB[gas]
        return found

    async def stop(self):
        """It must stay under voltage."""

    async def _millivolts(self, volts):
        total = 0.0
        try:
            for _ in range(self._samples):
                total += await volts()
        except SensorError as error:
            if error.code != RANGE:
                raise
            return None  # the other electrode is worth sending
        return total * 1000 / self._samples

    def _gas(self, we, ae):
        celsius = self._temperature() if self._temperature else None
        if we is None or ae is None or celsius is None:
            return None
        found = parts_per_billion(self._calibration, we, ae, celsius)
        if self._no2 is None or found is None:
            return found
        return None if self._no2.ppb is None else found - self._no2.ppb


def parts_per_billion(cell, we, ae, celsius):
    """The gas in ppb, of electrodes in mV (AAN 803, algorithms 1 to 4); None outside of -30 to 50 Cel."""
    factor = _interpolated(cell["table"], celsius)
    if factor is None:
        return None
    working, auxiliary = we - cell["we_e"], ae - cell["ae_e"]
    if cell["algorithm"] == 1:
        net = working - factor * auxiliary
    elif cell["algorithm"] == 2:
        net = working - factor * (cell["we_o"] / cell["ae_o"]) * auxiliary
    elif cell["algorithm"] == 3:
        net = working - (cell["we_o"] - cell["ae_o"]) - factor * auxiliary
    else:
        net = working - cell["we_o"] - factor
    return net / cell["sensitivity"]


def _interpolated(table, celsius):
    place = (celsius - _COLDEST) / _STEP
    if not 0 <= place <= len(table) - 1:
        return None
    low = min(int(place), len(table) - 2)
    return table[low] + (table[low + 1] - table[low]) * (place - low)


def _check(cell):
    missing = [name for name in _NEEDED if not isinstance(cell.get(name), (int, float))]
    if missing:
        raise ValueError("calibration without " + ", ".join(missing))
    if cell.get("gas") not in _PER_PPB or cell.get("algorithm") not in (1, 2, 3, 4):
        raise ValueError("calibration of an unknown gas or algorithm")
    if not cell["sensitivity"] or (cell["algorithm"] == 2 and not cell["ae_o"]):
        raise ValueError("calibration that divides by 0")
    if len(cell.get("table", ())) != 9:
        raise ValueError("calibration needs nine values, from -30 to 50 Cel")
