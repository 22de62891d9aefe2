"""How people write the units of the catalogue: UCUM code to display text."""

__all__ = ["display"]

_DISPLAY = {
    "ug/m3": "µg/m³",
    "mg/m3": "mg/m³",
    "m3/h": "m³/h",
    "m3": "m³",
    "/cm3": "1/cm³",
    "cd/m2": "cd/m²",
    "W/m2": "W/m²",
    "m/s2": "m/s²",
    "um/m": "µm/m",
    "Cel": "°C",
    "deg": "°",
    "Ohm": "Ω",
    "V.A": "VA",
    "V.A{reactive}": "var",
    "kV.A": "kVA",
    "kV.A{reactive}": "kvar",
    "kW.h": "kWh",
    "dB[SPL]": "dB",
    "dB{mW}": "dBm",
    "[ppm]": "ppm",
    "[pH]": "pH",
    "[NTU]": "NTU",
    "uS/cm": "µS/cm",
    "uT": "µT",
    "By": "B",
    "{vehicle}/h": "1/h",
    "{vehicle}/km": "1/km",
    "1": "",
    "{count}": "",
    "{event}": "",
    "{index}": "",
    "{person}": "",
    "{record}": "",
    "{state}": "",
    "{vehicle}": "",
}


def display(ucum: str) -> str:
    """The unit as people write it; empty for pure numbers, counts, indices and states."""
    return _DISPLAY.get(ucum, ucum)
