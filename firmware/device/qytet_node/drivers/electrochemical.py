"""An electrochemical cell with four electrodes (Alphasense B4 on its board): two voltages, and a gas made of them.

What was measured are the voltages: they are always given, so that the gas can be computed anew by who knows better.
How it is computed is in `calibration.py`, which only a calibrated cell brings into memory.
"""

from qytet_node.drivers.errors import RANGE, SensorError
from qytet_node.drivers.keys import keyed


class Electrochemical:
    """`we` and `ae` are each a function and a channel, with which it is awaited for volts. `calibration` makes a gas:

    {"gas": "no2", "algorithm": 1, "we_e", "ae_e", "we_o", "ae_o" (mV), "sensitivity" (mV/ppb), "table": nine values at
    -30, -20 … 50 Cel}. `temperature()` says Cel, or None. `no2` is the driver of the NO2 cell beside an OX cell, which
    sees both gases: its ppb are subtracted (so it must be read before).
    """

    PROPERTIES = ("electrode_voltage_we", "electrode_voltage_ae")
    WARM_UP_MS = 7200000  # two hours after power-up (data sheets: stabilisation)
    MIN_INTERVAL_MS = 1000
    _calibrated = ppb = None  # of a cell without a certificate

    def __init__(self, we, ae, channel, calibration=None, temperature=None, no2=None, samples=4):
        self._inputs = (we, ae)
        self._keys = (keyed("electrode_voltage_we", channel), keyed("electrode_voltage_ae", channel))
        self._samples = samples
        if calibration:
            from qytet_node.drivers.calibration import Calibrated

            self._calibrated = Calibrated(calibration, temperature, no2)
            self.PROPERTIES += (calibration["gas"],)

    async def start(self):
        """Nothing to wake: the cell is always under voltage."""

    async def read(self):
        """Both voltages in mV; a gas in ug/m3 (CO in mg/m3), None where it cannot be known."""
        if self._calibrated:
            self.ppb = None
        found = {}
        for key, (volts, channel) in zip(self._keys, self._inputs):
            found[key] = await self._millivolts(volts, channel)
        if self._calibrated:
            self.ppb = self._calibrated.ppb(*(found[key] for key in self._keys))
            found[self._calibrated.gas] = self._calibrated.mass(self.ppb)
        return found

    async def stop(self):
        """It must stay under voltage."""

    async def _millivolts(self, volts, channel):
        total = 0.0
        try:
            for _ in range(self._samples):
                total += await volts(channel)
        except SensorError as error:
            if error.code != RANGE:
                raise
            return None  # the other electrode is worth sending
        return total * 1000 / self._samples
