"""What gas an electrochemical cell sees, of its two voltages: Alphasense Application Note AAN 803.

Four algorithms take the sensor's zero out, each with its table over temperature; coefficients and sensitivity are those
of the cell's own certificate.
"""

_PER_PPB = {"no2": 1.9125, "no": 1.2474, "o3": 1.9953, "so2": 2.6633, "co": 0.0011644}
"""ug/m3 of 1 ppb at 20 Cel and 101.3 kPa (Directive 2024/2881); mg/m3 for CO."""
_COLDEST, _STEP = -30, 10
_NEEDED = ("we_e", "ae_e", "we_o", "ae_o", "sensitivity")


class Calibrated:
    """A cell's certificate, `temperature()` in Cel or None, and the driver of an NO2 cell beside it, or None.

    Raises ValueError for a certificate that makes no sense.
    """

    def __init__(self, cell, temperature, no2):
        _check(cell)
        self.gas = cell["gas"]
        self._cell, self._temperature, self._no2 = cell, temperature, no2

    def ppb(self, we, ae):
        """The gas in ppb, of electrodes in mV; None where it cannot be known."""
        celsius = self._temperature() if self._temperature else None
        if we is None or ae is None or celsius is None:
            return None
        found = parts_per_billion(self._cell, we, ae, celsius)
        if self._no2 is None or found is None:
            return found
        return None if self._no2.ppb is None else found - self._no2.ppb

    def mass(self, ppb):
        """ug/m3 (CO: mg/m3)."""
        return None if ppb is None else ppb * _PER_PPB[self.gas]


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
