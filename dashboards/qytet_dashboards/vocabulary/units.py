"""Grafana's name for each unit of the catalogue: UCUM code to unit id; what Grafana lacks is written as a suffix."""

from qytet.catalogue import Property
from qytet.units import display

__all__ = ["decimals", "grafana_unit"]

_UNITS = {
    "%": "percent",
    "1": "none",
    "Cel": "celsius",
    "Hz": "hertz",
    "Ohm": "ohm",
    "V": "volt",
    "A": "amp",
    "W": "watt",
    "kW": "kwatt",
    "V.A": "voltamp",
    "kW.h": "kwatth",
    "lx": "lux",
    "hPa": "pressurehpa",
    "bar": "pressurebar",
    "m/s": "velocityms",
    "km/h": "velocitykmh",
    "m/s2": "accMS2",
    "deg": "degree",
    "mm": "lengthmm",
    "m": "lengthm",
    "s": "s",
    "h": "h",
    "By": "bytes",
    "dB": "dB",
    "dB{mW}": "dBm",
    "[ppm]": "ppm",
    "{count}": "none",
    "{event}": "none",
    "{index}": "none",
    "{person}": "none",
    "{record}": "none",
    "{state}": "none",
    "{vehicle}": "none",
}


def grafana_unit(ucum: str) -> str:
    """Grafana's unit id for a UCUM code. Grafana itself puts a space before a suffix."""
    return _UNITS.get(ucum) or f"suffix:{display(ucum)}"


def decimals(row: Property) -> int:
    """Places that people read: none where values run into hundreds, more where the whole range is small."""
    span = row.suspect_max - row.suspect_min
    return 0 if span >= 1000 else 1 if span > 20 else 2
