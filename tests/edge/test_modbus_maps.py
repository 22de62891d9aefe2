"""Register maps and what is made of registers: types, orders, sentinels, currents, units, and few questions."""

import struct
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qytet.errors import InputError, NotFoundError, SettingsError
from qytet_edge.inbox.current_loop import Loop
from qytet_edge.inbox.modbus.config import UnitConfig
from qytet_edge.inbox.modbus.maps import Map, MapField, load_map, shipped_maps
from qytet_edge.inbox.modbus.plan import blocks, items
from qytet_edge.inbox.modbus.values import Item, decoded, encoded, raw
from qytet_edge.inbox.units import Conversion, conversion

ORDERS = {
    "ABCD": [0x4365, 0x8000],
    "CDAB": [0x8000, 0x4365],
    "BADC": [0x6543, 0x0080],
    "DCBA": [0x0080, 0x6543],
}


def _field(**more: Any) -> MapField:
    return MapField.model_validate({"property": "air_temperature", "function": 4, "address": 0, **more})


def _value(registers: list[int], **more: Any) -> tuple[float | int | None, str]:
    field = _field(**more)
    return decoded(
        Item(field.key, field, field.order or "ABCD", conversion(field.property, field.unit)), registers
    )


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("title = ", "is no TOML"),
        ("x = " + "[" * 5000, "nested too deeply"),
        ("#" * 1_000_001, "characters"),
        (
            'title = "t"\n[[field]]\nproperty = "air_temperature"\nfunction = 4\naddress = 0\nscale = nan',
            "nan is",
        ),
        (
            'title = "t"\n'
            + "".join(
                f'[[field]]\nproperty = "air_temperature"\nchannel = "c{n}"\nfunction = 4\naddress = {n}\n'
                for n in range(1001)
            ),
            "at most 1000",
        ),
    ],
)
def test_a_stranger_s_map_is_refused_in_words(tmp_path: Path, text: str, said: str) -> None:
    """A map that is nonsense, endless or bottomless is an error with its name, at once, not a crash."""
    (tmp_path / "m.toml").write_text(text)
    with pytest.raises(InputError, match="register map") as raised:
        load_map("m.toml", tmp_path)
    assert said in str(raised.value)


@pytest.mark.parametrize("order", ORDERS)
def test_each_byte_order_reads_the_same_number(order: Any) -> None:
    """229.5 as four makers send it is 229.5."""
    assert raw(ORDERS[order], "f32", order) == 229.5


@given(
    st.sampled_from(["ABCD", "CDAB", "BADC", "DCBA"]),
    st.one_of(
        st.tuples(st.just("u16"), st.integers(0, 2**16 - 1)),
        st.tuples(st.just("i16"), st.integers(-(2**15), 2**15 - 1)),
        st.tuples(st.just("u32"), st.integers(0, 2**32 - 1)),
        st.tuples(st.just("i32"), st.integers(-(2**31), 2**31 - 1)),
        st.tuples(st.just("f32"), st.floats(width=32, allow_nan=False)),
    ),
)
def test_what_is_written_reads_back(order: Any, kept: tuple[str, float]) -> None:
    """Every number of every type in every order comes back as it was put."""
    assert raw(encoded(kept[1], kept[0], order), kept[0], order) == kept[1]


@pytest.mark.parametrize(
    ("registers", "more"),
    [
        ([0x7FEF, 0xFFFF, 0xFFFF, 0xFFFF], {"type": "f64", "property": "lamp_active_power", "unit": "kW"}),
        ([65535], {"scale": 1e308}),
    ],
)
def test_a_number_beyond_all_numbers_is_no_value(registers: list[int], more: dict[str, Any]) -> None:
    """What scaling makes infinite is null with trouble: one unit's garbage must not end its whole line's source."""
    value, wrong = _value(registers, **more)
    assert value is None
    assert "beyond all numbers" in wrong


def test_a_number_that_does_not_fit_is_refused() -> None:
    """Nothing is cut off in silence when a value is written."""
    with pytest.raises(ValueError, match="u16 cannot hold 65536"):
        encoded(65536, "u16", "ABCD")


def test_scaled_values_are_said_shortly() -> None:
    """234 tenths are 23.4, a whole counter stays whole, single precision says no more than it knows."""
    assert _value([234], scale=0.1) == (23.4, "")
    assert _value([0xFFFF, 0xFFFF], type="u32") == (4294967295, "")
    assert _value(list(struct.unpack(">HH", struct.pack(">f", 23.4))), type="f32") == (23.4, "")
    assert _value([65526], type="i16", scale=0.1) == (-1, "")


def test_sentinels_are_no_value() -> None:
    """A maker's mark for "no sensor", a NaN, or what lies beyond sense is null and never a number."""
    assert _value([0x7FFF], type="i16", scale=0.1, invalid=[0x7FFF]) == (None, "")
    assert _value([0x7FC0, 0], type="f32") == (None, "")
    assert _value([0x7F80, 0], type="f32") == (None, "")
    assert _value([900], scale=0.1, max=85) == (None, "")
    assert _value([0], scale=0.1, min=0.1) == (None, "")


def test_a_bit_of_a_register_is_a_state() -> None:
    """Bit 5 of a status word is 0 or 1."""
    assert _value([0b100000], type="bit", bit=5, property="pump_running") == (1, "")
    assert _value([0b011111], type="bit", bit=5, property="pump_running") == (0, "")


@pytest.mark.parametrize(
    ("milliamps", "bars"),
    [(3.8, -0.125), (4.0, 0.0), (12.0, 5.0), (20.0, 10.0), (20.5, 10.3125)],
)
def test_a_current_within_namur_limits_is_a_measurement(milliamps: float, bars: float) -> None:
    """4 mA is the low end, 20 mA the high one, and a little beyond still counts."""
    assert Loop(0, 10).measured(milliamps) == (pytest.approx(bars), "")


@pytest.mark.parametrize("milliamps", [0.0, 3.6, 3.7, 20.6, 21.0, 24.0])
def test_a_current_outside_namur_limits_is_no_value(milliamps: float) -> None:
    """A broken or shorted loop is told, and is never a pressure of minus 2 bar."""
    value, wrong = Loop(0, 10).measured(milliamps)
    assert value is None
    assert f"{milliamps:.2f} mA" in wrong


@pytest.mark.parametrize(
    ("name", "unit", "given_", "kept"),
    [
        ("grid_active_power", "W", 1500, 1.5),
        ("grid_energy_import_total", "Wh", 2500, 2.5),
        ("water_flow_rate", "m3/s", 0.01, 36),
        ("water_flow_rate", "l/s", 1, 3.6),
        ("water_volume_total", "mm3", 1e9, 1),
        ("air_pressure", "kPa", 101.3, 1013),
        ("water_pressure", "MPa", 0.45, 4.5),
        ("air_temperature", "°F", 212, 100),
        ("wind_speed", "km/h", 36, 10),
        ("grid_phase_voltage", "", 230, 230),
    ],
)
def test_known_units_are_converted(name: str, unit: str, given_: float, kept: float) -> None:
    """What an instrument gives in its own unit is kept in the catalogue's."""
    assert conversion(name, unit).apply(given_) == pytest.approx(kept)


def test_an_unknown_unit_is_refused_when_the_map_is_read() -> None:
    """A unit without a known way to the catalogue's is an error of the map, not a wrong number."""
    with pytest.raises(ValueError, match="kept in Cel"):
        conversion("air_temperature", "bar")
    assert conversion("air_temperature", "Cel") == Conversion()


@pytest.mark.parametrize("name", shipped_maps())
def test_each_shipped_map_is_whole_and_asks_few_questions(name: str) -> None:
    """Every map that is shipped is valid, names its source, and is read in at most five questions."""
    found = load_map(name, Path())
    inputs = {field.input: {"property": "water_pressure", "channel": field.input, "low": 0, "high": 10}
              for field in found.field if field.input}  # fmt: skip
    wanted = items(UnitConfig(address=1, map=name, inputs=inputs), found)
    asked = blocks(wanted, found)
    assert found.source
    assert len(asked) <= 5
    assert all(block.size <= found.max_count for block in asked)
    assert sorted(item.key for block in asked for item in block.items) == sorted(item.key for item in wanted)


def test_the_maps_for_the_instruments_we_promise_are_shipped() -> None:
    """Energy meters, a flow meter, a 4-20 mA module and a weather station come with the gateway."""
    assert set(shipped_maps()) >= {
        "eastron-sdm120", "eastron-sdm630", "pzem-004t", "magflux", "waveshare-analog-8ch", "renke-fsxcs",
    }  # fmt: skip


def _map(*fields: dict[str, Any], **more: Any) -> Map:
    return Map.model_validate({"title": "Test", "field": fields, **more})


def test_questions_are_merged_within_the_instruments_limits() -> None:
    """Neighbours go together, a gap beyond max_gap, another function or too many registers part them."""
    found = _map(
        {"property": "air_temperature", "function": 3, "address": 0},
        {"property": "relative_humidity", "function": 3, "address": 3},
        {"property": "air_pressure", "function": 3, "address": 9},
        {"property": "wind_speed", "function": 3, "address": 12, "type": "u32"},
        {"property": "wind_speed_of_gust", "function": 4, "address": 12},
        max_gap=2,
        max_count=4,
    )
    asked = blocks(items(UnitConfig(address=1, map="x"), found), found)
    assert [(block.function, block.address, block.size) for block in asked] == [
        (3, 0, 4),
        (3, 9, 1),
        (3, 12, 2),
        (4, 12, 1),
    ]
    assert asked[0].registers(asked[0].items[1], [1, 2, 3, 4]) == [4]


def test_a_unit_may_rename_choose_and_add_a_channel() -> None:
    """A meter in a lamp's feed reports as the lamp, with the lamp property's unit, under a channel of its own."""
    unit = UnitConfig(
        address=1,
        map="pzem-004t",
        channel="north",
        only=("grid_active_power", "grid_phase_voltage"),
        rename={"grid_active_power": "lamp_active_power", "grid_phase_voltage": "lamp_supply_voltage:b"},
    )
    made = items(unit, load_map("pzem-004t", Path()))
    assert [item.key for item in made] == ["lamp_supply_voltage:north-b", "lamp_active_power:north"]
    assert decoded(made[1], [1234, 0]) == (123.4, "")  # W of the lamp, not kW of the grid


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("title = ", "is no TOML"),
        ('title = "x"', "field"),
        ('title = "x"\n[[field]]\nproperty = "nonsense"\nfunction = 4\naddress = 0', "unknown_property"),
        ('title = "x"\n[[field]]\nproperty = "co2"\nfunction = 4\naddress = 70000', "address"),
        ('title = "x"\n[[field]]\nproperty = "co2"\nfunction = 4\naddress = 0\nunit = "V"', "kept in [ppm]"),
        ('title = "x"\n[[field]]\nproperty = "co2"\nfunction = 1\naddress = 0', "type must be 'bit'"),
        ('title = "x"\n[[field]]\nproperty = "co2"\nfunction = 4\naddress = 0\nadress = 1', "field.1.adress"),
        ('title = "x"\n[[field]]\nfunction = 4\naddress = 0', "either property or input"),
    ],
)
def test_a_wrong_map_says_where_and_what(tmp_path: Path, text: str, said: str) -> None:
    """A mistake in a map is named with its file, its place and what is expected."""
    (tmp_path / "wrong.toml").write_text(text, encoding="utf-8")
    with pytest.raises(InputError) as error:
        load_map("wrong.toml", tmp_path)
    assert said in str(error.value)
    assert "wrong.toml" in str(error.value)


def test_a_map_that_is_not_there_is_said(tmp_path: Path) -> None:
    """A name that is not shipped lists those that are; a path that does not exist is named."""
    with pytest.raises(NotFoundError, match="eastron-sdm120"):
        load_map("sdm", tmp_path)
    with pytest.raises(NotFoundError, match=r"none\.toml"):
        load_map("none.toml", tmp_path)


@pytest.mark.parametrize(
    ("unit", "said"),
    [
        ({"only": ["co2"]}, "has no 'co2'"),
        ({"rename": {"grid_current": "grid_curent"}}, "unknown_property"),
        (
            {"map": "eastron-sdm630", "rename": {"grid_current:l1": "grid_current:l2"}},
            "two of its fields make grid_current:l2",
        ),
        ({"channel": "Nord"}, "bad_key"),
        ({"map": "waveshare-analog-8ch"}, "nothing is asked of it"),
        (
            {
                "map": "waveshare-analog-8ch",
                "inputs": {"ai1": {"property": "co2", "low": 0, "high": 1, "unit": "V"}},
            },
            "kept in [ppm]",
        ),
    ],
)
def test_a_unit_that_asks_for_what_cannot_be_is_refused(unit: dict[str, Any], said: str) -> None:
    """A unit's table that does not fit its map is an error before anything is opened."""
    config = UnitConfig.model_validate({"address": 4, "map": "eastron-sdm120", **unit})
    with pytest.raises(SettingsError) as error:
        items(config, load_map(config.map, Path()))
    assert said in str(error.value)
    assert "Unit 4" in str(error.value)
