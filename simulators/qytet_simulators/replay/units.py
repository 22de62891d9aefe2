"""Which UCUM unit turns into which, by exact rational factors; gases from mole fraction to mass concentration.

Every number is computed as a fraction and rounded once, to the nearest double.
"""

import re
from collections.abc import Callable
from fractions import Fraction

from qytet.errors import InputError
from qytet_contract.properties import PROPERTIES

__all__ = ["Convert", "converter", "known_units", "number"]

Number = str | float
Convert = Callable[[Number], float]

# Unit: (dimension, factor, offset), so that base = x * factor + offset.
# Mile 1609.344 m and pound 0.45359237 kg exactly (international yard and pound agreement, 1959).
_F = Fraction
_UNITS: dict[str, tuple[str, Fraction, Fraction]] = {
    "Cel": ("temperature", _F(1), _F(0)),
    "K": ("temperature", _F(1), _F("-273.15")),
    "[degF]": ("temperature", _F(5, 9), _F(-160, 9)),
    "m/s": ("speed", _F(1), _F(0)),
    "km/h": ("speed", _F(1000, 3600), _F(0)),
    "[mi_i]/h": ("speed", _F("0.44704"), _F(0)),
    "[kn_i]": ("speed", _F(1852, 3600), _F(0)),
    "m": ("length", _F(1), _F(0)),
    "cm": ("length", _F(1, 100), _F(0)),
    "mm": ("length", _F(1, 1000), _F(0)),
    "km": ("length", _F(1000), _F(0)),
    "[ft_i]": ("length", _F("0.3048"), _F(0)),
    "[in_i]": ("length", _F("0.0254"), _F(0)),
    "[mi_i]": ("length", _F("1609.344"), _F(0)),
    "mm/h": ("rain rate", _F(1), _F(0)),
    "[in_i]/h": ("rain rate", _F("25.4"), _F(0)),
    "s": ("time", _F(1), _F(0)),
    "ms": ("time", _F(1, 1000), _F(0)),
    "min": ("time", _F(60), _F(0)),
    "h": ("time", _F(3600), _F(0)),
    "m3/h": ("volume flow", _F(1), _F(0)),
    "m3/s": ("volume flow", _F(3600), _F(0)),
    "m3/d": ("volume flow", _F(1, 24), _F(0)),
    "L/s": ("volume flow", _F("3.6"), _F(0)),
    "L/min": ("volume flow", _F("0.06"), _F(0)),
    "L/h": ("volume flow", _F("0.001"), _F(0)),
    "m3": ("volume", _F(1), _F(0)),
    "L": ("volume", _F(1, 1000), _F(0)),
    "bar": ("pressure", _F(1), _F(0)),
    "mbar": ("pressure", _F(1, 1000), _F(0)),
    "Pa": ("pressure", _F(1, 100000), _F(0)),
    "hPa": ("pressure", _F(1, 1000), _F(0)),
    "kPa": ("pressure", _F(1, 100), _F(0)),
    "m[H2O]": ("pressure", _F("0.0980665"), _F(0)),
    "ug/m3": ("mass concentration", _F(1), _F(0)),
    "mg/m3": ("mass concentration", _F(1000), _F(0)),
    "ug/L": ("mass concentration", _F(1000), _F(0)),
    "mg/L": ("mass concentration", _F(1000000), _F(0)),
    "[ppb]": ("mole fraction", _F(1), _F(0)),
    "[ppm]": ("mole fraction", _F(1000), _F(0)),
    "uS/cm": ("conductivity", _F(1), _F(0)),
    "mS/cm": ("conductivity", _F(1000), _F(0)),
    "mS/m": ("conductivity", _F(10), _F(0)),
    "mV": ("voltage", _F(1, 1000), _F(0)),
    "V": ("voltage", _F(1), _F(0)),
    "mA": ("current", _F(1, 1000), _F(0)),
    "A": ("current", _F(1), _F(0)),
    "W": ("power", _F(1), _F(0)),
    "kW": ("power", _F(1000), _F(0)),
    "kW.h": ("energy", _F(1), _F(0)),
    "W.h": ("energy", _F(1, 1000), _F(0)),
    "MW.h": ("energy", _F(1000), _F(0)),
    "%": ("ratio", _F(1, 100), _F(0)),
    "1": ("ratio", _F(1), _F(0)),
    "{vehicle}": ("vehicles", _F(1), _F(0)),
    "{vehicle}/h": ("vehicle flow", _F(1), _F(0)),
}

# g/mol, NIST Chemistry WebBook.
_MOLAR_MASS = {
    "no2": _F("46.0055"),
    "no": _F("30.0061"),
    "o3": _F("47.9982"),
    "so2": _F("64.064"),
    "co": _F("28.0101"),
    "nh3": _F("17.0305"),
    "h2s": _F("34.081"),
    "benzene": _F("78.1118"),
}
# Gases are reported at 293.15 K and 101.325 kPa (Directive (EU) 2024/2881, annex VI); R in J/(mol K), CODATA 2018.
_KELVIN = _F("293.15")
_PASCAL = _F(101325)
_GAS_CONSTANT = _F("8.31446261815324")
_UG_M3_PER_PPB = _PASCAL / (_GAS_CONSTANT * _KELVIN) / 1000

_NUMBER = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d{1,3})?")


def number(value: Number, decimal: str = ".") -> str | float:
    """`value` as something that a converter takes: a float, or a text in plain decimal notation.

    Raises ValueError for anything that is not one finite number.
    """
    if isinstance(value, str):
        text = value.strip()
        if decimal != ".":
            text = "" if "." in text else text.replace(decimal, ".")
        if not _NUMBER.fullmatch(text):
            raise ValueError(f"{value!r} is not a number")
        if float(text) in (float("inf"), float("-inf")):
            raise ValueError(f"{value!r} is too large")
        return text
    if value - value != 0:
        raise ValueError(f"{value!r} is not finite")
    return float(value)


def known_units(target: str) -> list[str]:
    """The units that turn into the UCUM unit `target` by a factor (and an offset)."""
    dimension = _UNITS[target][0] if target in _UNITS else None
    return sorted({target, *(unit for unit, row in _UNITS.items() if row[0] == dimension)})


def converter(unit: str, property_name: str) -> Convert:
    """The function from a number in `unit` to a float in the catalogue's unit of `property_name`.

    Raises InputError, listing what is known, if there is no way from one to the other.
    """
    target = PROPERTIES[property_name][0]
    if unit == target:
        return float
    factor, offset = _rule(unit, target, property_name)

    def convert(value: Number) -> float:
        return float(Fraction(value) * factor + offset)

    return convert


def _rule(unit: str, target: str, property_name: str) -> tuple[Fraction, Fraction]:
    source, goal = _UNITS.get(unit), _UNITS.get(target)
    if source and goal:
        if source[0] == goal[0]:
            return source[1] / goal[1], (source[2] - goal[2]) / goal[1]
        if (source[0], goal[0]) == ("mole fraction", "mass concentration") and property_name in _MOLAR_MASS:
            return source[1] * _MOLAR_MASS[property_name] * _UG_M3_PER_PPB / goal[1], Fraction(0)
    known = known_units(target)
    if property_name in _MOLAR_MASS:
        known += ["[ppb]", "[ppm]"]
    raise InputError(
        f"There is no conversion from {unit!r} to {target!r}, the unit of {property_name}.",
        why=f"Known for {property_name}: {', '.join(known)}.",
        do="Write the unit as a UCUM code, or add it to units.py with its source.",
    )
