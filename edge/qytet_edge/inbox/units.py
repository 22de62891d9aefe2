"""Instruments' units and the catalogue's: what a named unit must be multiplied by, and what be added.

Units are UCUM codes where there is one, with the spellings that stand in instruments' manuals beside them.
"""

from typing import NamedTuple

from qytet_contract.properties import PROPERTIES

__all__ = ["Conversion", "conversion", "tidy", "unit_of"]

_SPELLINGS = {
    "kWh": "kW.h",
    "Wh": "W.h",
    "MWh": "MW.h",
    "VA": "V.A",
    "kVA": "kV.A",
    "var": "V.A{reactive}",
    "kvar": "kV.A{reactive}",
    "°C": "Cel",
    "C": "Cel",
    "°F": "[degF]",
    "F": "[degF]",
    "°": "deg",
    "µg/m3": "ug/m3",
    "m³/h": "m3/h",
    "m³/s": "m3/s",
    "m³": "m3",
    "l": "L",
    "l/s": "L/s",
    "l/min": "L/min",
    "l/h": "L/h",
    "ppm": "[ppm]",
    "NTU": "[NTU]",
    "pH": "[pH]",
    "µS/cm": "uS/cm",
    "mbar": "hPa",
    "dBm": "dB{mW}",
}

_BAR_PER_MH2O = 0.0980665  # 1 m of water at 4 Cel and 9.80665 m/s2

_FACTORS: dict[tuple[str, str], tuple[float, float]] = {
    ("W", "kW"): (1e-3, 0),
    ("kW", "W"): (1e3, 0),
    ("MW", "kW"): (1e3, 0),
    ("W.h", "kW.h"): (1e-3, 0),
    ("MW.h", "kW.h"): (1e3, 0),
    ("V.A", "kV.A"): (1e-3, 0),
    ("kV.A", "V.A"): (1e3, 0),
    ("V.A{reactive}", "kV.A{reactive}"): (1e-3, 0),
    ("kV.A{reactive}", "V.A{reactive}"): (1e3, 0),
    ("mV", "V"): (1e-3, 0),
    ("V", "mV"): (1e3, 0),
    ("kV", "V"): (1e3, 0),
    ("mA", "A"): (1e-3, 0),
    ("A", "mA"): (1e3, 0),
    ("m3/s", "m3/h"): (3600, 0),
    ("L/s", "m3/h"): (3.6, 0),
    ("L/min", "m3/h"): (0.06, 0),
    ("L/h", "m3/h"): (1e-3, 0),
    ("L", "m3"): (1e-3, 0),
    ("mm3", "m3"): (1e-9, 0),
    ("mm", "m"): (1e-3, 0),
    ("cm", "m"): (1e-2, 0),
    ("m", "mm"): (1e3, 0),
    ("Pa", "hPa"): (1e-2, 0),
    ("kPa", "hPa"): (10, 0),
    ("bar", "hPa"): (1e3, 0),
    ("hPa", "bar"): (1e-3, 0),
    ("kPa", "bar"): (1e-2, 0),
    ("MPa", "bar"): (10, 0),
    ("m[H2O]", "bar"): (_BAR_PER_MH2O, 0),
    ("[degF]", "Cel"): (5 / 9, -160 / 9),
    ("K", "Cel"): (1, -273.15),
    ("km/h", "m/s"): (1 / 3.6, 0),
    ("m/s", "km/h"): (3.6, 0),
    ("klx", "lx"): (1e3, 0),
    ("mS/cm", "uS/cm"): (1e3, 0),
    ("ug/m3", "mg/m3"): (1e-3, 0),
    ("mg/m3", "ug/m3"): (1e3, 0),
    ("1", "%"): (100, 0),
    ("%", "1"): (1e-2, 0),
    ("s", "h"): (1 / 3600, 0),
    ("min", "s"): (60, 0),
    ("h", "s"): (3600, 0),
}


class Conversion(NamedTuple):
    """In the catalogue's unit: `value * factor + offset`."""

    factor: float = 1.0
    offset: float = 0.0

    def apply(self, value: float) -> float:
        """`value` in the catalogue's unit; whole numbers stay whole where nothing is converted."""
        return value if self == (1.0, 0.0) else value * self.factor + self.offset


def unit_of(name: str) -> str:
    """The catalogue's unit of a property. Raises ValueError if there is no such property."""
    if name not in PROPERTIES:
        raise ValueError(f"the catalogue has no property {name!r}")
    return PROPERTIES[name][0]


def conversion(name: str, unit: str) -> Conversion:
    """From an instrument's `unit` ("" or the catalogue's own: as it is) to that of the property `name`.

    Raises ValueError if the property or a way from one unit to the other is unknown.
    """
    wanted = unit_of(name)
    given = _SPELLINGS.get(unit, unit) or wanted
    if given == wanted:
        return Conversion()
    if (given, wanted) not in _FACTORS:
        raise ValueError(
            f"{name} is kept in {wanted}; no conversion from {unit!r} is known (use scale and offset)"
        )
    return Conversion(*_FACTORS[given, wanted])


def tidy(value: float, digits: int = 15) -> float:
    """`value` without the digits that binary arithmetic adds: 234 * 0.1 is 23.4, not 23.400000000000002."""
    return float(f"{value:.{digits}g}")
