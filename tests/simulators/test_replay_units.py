"""Conversion of units in replays, against values computed by hand."""

import math
from fractions import Fraction

import pytest

from qytet.errors import InputError
from qytet_contract.properties import PROPERTIES
from qytet_simulators.replay.units import converter, known_units, number


@pytest.mark.parametrize(
    ("unit", "prop", "text", "wanted"),
    [
        ("[degF]", "air_temperature", "32", 0.0),
        ("[degF]", "air_temperature", "212", 100.0),
        ("[degF]", "air_temperature", "-40", -40.0),
        ("[degF]", "air_temperature", "98.6", 37.0),
        ("K", "air_temperature", "273.15", 0.0),
        ("[mi_i]/h", "vehicle_speed_mean", "60", 96.56064),
        ("m/s", "vehicle_speed_mean", "10", 36.0),
        ("km/h", "wind_speed", "36", 10.0),
        ("[kn_i]", "wind_speed", "3600", 1852.0),
        ("L/s", "water_flow_rate", "100.59", 362.124),
        ("m3/s", "water_flow_rate", "0.5", 1800.0),
        ("L/min", "water_flow_rate", "1000", 60.0),
        ("[in_i]", "precipitation_amount", "1", 25.4),
        ("kPa", "water_pressure", "350", 3.5),
        ("Pa", "air_pressure", "101325", 1013.25),
        ("min", "travel_time", "2.5", 150.0),
        ("mg/m3", "no2", "0.04", 40.0),
        ("ug/m3", "co", "1500", 1.5),
        ("1", "lane_occupancy", "0.125", 12.5),
        ("mS/m", "water_conductivity", "21.1", 211.0),
    ],
)
def test_a_conversion_gives_the_value_computed_by_hand(
    unit: str, prop: str, text: str, wanted: float
) -> None:
    """Each value is the double nearest to the exact result, so equality holds to the last bit."""
    assert converter(unit, prop)(number(text)) == wanted


@pytest.mark.parametrize(
    ("gas", "factor"),
    [("no2", 1.9125), ("no", 1.2474), ("o3", 1.9953), ("so2", 2.6632), ("nh3", 0.708), ("benzene", 3.247)],
)
def test_a_mole_fraction_becomes_mass_at_20_degrees(gas: str, factor: float) -> None:
    """Gases are given at 293.15 K and 101.325 kPa as the EU wants, not at 25 degrees (1.7 % less)."""
    assert converter("[ppb]", gas)(1.0) == pytest.approx(factor, rel=2e-4)
    assert converter("[ppm]", gas)(1.0) == pytest.approx(factor * 1000, rel=2e-4)


def test_carbon_monoxide_goes_from_ppm_to_milligrams() -> None:
    """1 ppm of CO is 1.1644 mg/m3 at 20 degrees: the catalogue's unit, not micrograms."""
    assert converter("[ppm]", "co")(1.0) == pytest.approx(1.1644, rel=1e-4)


def test_a_negative_value_is_not_clipped() -> None:
    """Noise around zero is symmetric; clipping it would bias every mean."""
    assert converter("[ppb]", "no2")(-2.0) < 0
    assert converter("ug/m3", "no2")(number("-0.6")) == -0.6


def test_a_text_is_rounded_once() -> None:
    """69.88083514 degF is converted as a fraction and rounded at the end: nothing is lost twice."""
    exact = (Fraction("69.88083514") - 32) * 5 / 9
    assert converter("[degF]", "air_temperature")(number("69.88083514")) == float(exact)


def test_an_unknown_pair_is_refused_with_what_is_known() -> None:
    """Who writes a wrong unit reads which ones there are."""
    with pytest.raises(InputError) as refusal:
        converter("gal/min", "water_flow_rate")
    assert "L/s" in str(refusal.value)
    assert "m3/h" in str(refusal.value)
    with pytest.raises(InputError):
        converter("mg/L", "air_temperature")
    with pytest.raises(InputError):
        converter("[ppb]", "pm2_5")  # dust has no molar mass


def test_every_catalogue_unit_is_its_own() -> None:
    """The unit of the catalogue is always accepted and changes nothing."""
    for name, row in PROPERTIES.items():
        assert converter(row[0], name)(1.25) == 1.25
        assert row[0] in known_units(row[0])


@pytest.mark.parametrize(
    "text", ["", "nan", "inf", "1/3", "1_000", "0x10", "1e999", "1e99999", "--1", "1,5", "1 2"]
)
def test_what_is_not_one_number_is_refused(text: str) -> None:
    """Python's own readers would take some of these; a recording's cell may not mean them."""
    with pytest.raises(ValueError, match=r"not a number|too large"):
        number(text)


def test_a_decimal_comma_is_read_only_where_it_is_declared() -> None:
    """1,5 is one and a half where the mapping says so, and a point is then no number."""
    assert float(number("1,5", ",")) == 1.5
    with pytest.raises(ValueError, match="not a number"):
        number("1.5", ",")


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_float_that_is_not_finite_is_refused(value: float) -> None:
    """No NaN and no infinity ever reaches a payload."""
    with pytest.raises(ValueError, match="not finite"):
        number(value)
