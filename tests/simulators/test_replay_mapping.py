"""Mapping files and the rows they are laid over: what is refused, and how the person is told."""

import gzip
import re
from pathlib import Path
from typing import Any

import msgspec
import pytest

from qytet.errors import InputError
from qytet_simulators.replay import built_in, expected, load, repeated
from qytet_simulators.replay.account import Read
from qytet_simulators.replay.describe import description
from qytet_simulators.replay.mapping import City, Column, Condition, DeviceRule, Mapping, Site, Source
from qytet_simulators.replay.readings import readings
from qytet_simulators.replay.recording import opened
from qytet_simulators.replay.stamps import Time
from tests.simulators.replay_support import ROOT, small

GOOD = """
name = "mine"
title = "Mine"
city = { city = "mine", name = "Mine", time_zone = "Europe/Tirane", lat = 41.0, lon = 20.0 }
[[site]]
site = "here"
name = "Here"
lat = 41.0
lon = 20.0
[[device]]
device = "*"
site = "here"
profile = "thermometer"
[[source]]
path = "a.csv"
time = { column = "time", zone = "Europe/Tirane" }
[[source.column]]
column = "T"
device = "one"
key = "air_temperature"
unit = "Cel"
"""


def test_every_mapping_of_the_project_is_sound() -> None:
    """What comes with the project loads, under the name of its file, and says where its stamps come from."""
    assert len(built_in()) == 9
    for name in built_in():
        mapping = load(name)
        assert mapping.name == name
        assert mapping.notes


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (('unit = "Cel"', 'unit = "gallon"'), r"source\[0\]\.column\[0\]\.unit: .*Cel, K, \[degF\]"),
        (('unit = "Cel"', ""), r"source\[0\]\.column\[0\]: .*`unit`"),
        (('unit = "Cel"', "unit = 3"), r"source\[0\]\.column\[0\]\.unit: "),
        (('unit = "Cel"', 'unit = "Cel"\nfactor = 2'), r"source\[0\]\.column\[0\]: .*`factor`"),
        (('key = "air_temperature"', 'key = "warmth"'), r"column\[0\]\.key: 'warmth': unknown_property"),
        (('key = "air_temperature"', 'key = "air_temperature:TOP"'), r"column\[0\]\.key: .*bad_key"),
        (('device = "one"', 'device = "One"'), r"column\[0\]\.device: "),
        (('column = "T"', 'column = "T"\nmatch = "T"'), r"column\[0\]: give either"),
        (('column = "T"', 'match = "("'), r"column\[0\]\.match: is not a regular expression"),
        (('Europe/Tirane" }', 'Tirana" }'), r"source\[0\]\.time: zone 'Tirana'"),
        (('path = "a.csv"', 'path = "../a.csv"'), r"source\[0\]\.path: "),
        (('path = "a.csv"', 'path = "/a.csv"'), r"source\[0\]\.path: "),
        (('site = "here"\nprofile', 'site = "there"\nprofile'), r"device\[0\]\.site: "),
        (('name = "mine"', 'name = "My own"'), r"name: "),
        (('title = "Mine"', ""), r"top level: .*`title`"),
        (("[[site]]", "[[site"), "not a TOML file"),
    ],
)
def test_a_wrong_mapping_names_file_table_and_key(tmp_path: Path, change: tuple[str, str], said: str) -> None:
    """One error, with the file, the table, the key and what is wrong with it."""
    path = tmp_path / "mine.toml"
    path.write_text(GOOD)
    assert load(str(path)).name == "mine"
    assert change[0] in GOOD
    path.write_text(GOOD.replace(*change))
    with pytest.raises(InputError, match=said) as refusal:
        load(str(path))
    assert str(path) in refusal.value.what


def test_an_unknown_mapping_says_where_the_known_ones_are() -> None:
    """A wrong name leads to --list."""
    with pytest.raises(InputError, match="--list"):
        load("nothing-of-the-kind.toml")


def test_an_unmentioned_column_is_refused(tmp_path: Path) -> None:
    """Nothing of a recording is left out by oversight: a column is mapped, or ignored with a reason."""
    text = "time,T,RH\n2026-01-01T00:00,1,50\n"
    with pytest.raises(InputError, match=r"does not mention RH"):
        list(expected(small(tmp_path, text), tmp_path))
    mapping = small(tmp_path, text, ignored={"RH": "not wanted here"})
    assert [value.value for value in expected(mapping, tmp_path)] == [1.0]


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ({"ignored": {"X": "not there"}}, r"no column 'X'"),
        ({"ignored": {"T": "mapped already"}}, r"'T' is mapped twice, or mapped and ignored"),
        ({"time": {"column": "when", "zone": "UTC"}}, r"no column 'when'"),
        ({"path": "other.csv"}, r"other\.csv is not in"),
        ({"encoding": "utf-9"}, r"cannot be read.*utf-9"),
    ],
)
def test_a_mapping_that_does_not_fit_its_file_is_refused(
    tmp_path: Path, source: dict[str, Any], said: str
) -> None:
    """The error names the file and what it has or lacks."""
    mapping = small(tmp_path, "time,T\n2026-01-01T00:00,1\n")
    tables = msgspec.to_builtins(mapping)
    tables["source"][0] |= source
    with pytest.raises(InputError, match=said):
        list(expected(msgspec.convert(tables, type(mapping)), tmp_path))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("time,T\n2026-01-01T00:00,warm\n", r"line 2: column T: 'warm' is not a number.*missing"),
        ("time,T\n2026-01-01T00:00,nan\n", r"line 2: column T"),
        ("time,T\nyesterday,1\n", r"line 2: 'yesterday' is not a time"),
        ("time,T\n2026-01-01T00:00,1,2\n", r"line 2: 3 cells where the header has 2"),
        ("time,T,T\n", r"names a column twice"),
        ("", r"is empty"),
        ('time,T\n"2026', r"not CSV"),
        ("time,T\n2026-01-01T00:00,\n", r"no valid reading"),
        ("time,T\n1999-01-01T00:00,1\n", r"time_too_early"),
    ],
)
def test_bad_input_is_refused_before_anything_is_sent(tmp_path: Path, text: str, said: str) -> None:
    """The whole file is read first; the error names the line, so that nothing is half replayed."""
    with pytest.raises(InputError, match=said):
        list(expected(small(tmp_path, text), tmp_path))


def test_bytes_that_are_not_of_the_encoding_are_refused(tmp_path: Path) -> None:
    """A Latin-1 file read as UTF-8 is an error, not a wrong letter."""
    mapping = small(
        tmp_path, "time,T,Zëri\n2026-01-01T00:00,1,x\n", ignored={"Zëri": "a name"}, encoding="latin-1"
    )
    assert len(list(expected(mapping, tmp_path))) == 1
    wrong = msgspec.structs.replace(mapping.source[0], encoding="utf-8")
    with pytest.raises(InputError, match="cannot be read"):
        list(expected(msgspec.structs.replace(mapping, source=[wrong]), tmp_path))


def test_a_damaged_gzip_is_refused(tmp_path: Path) -> None:
    """A download that broke off is an error, not a short recording."""
    mapping = small(tmp_path, "", path="small.csv.gz")
    whole = gzip.compress(b"time,T\n" + b"2026-01-01T00:00,1\n" * 1000)
    tmp_path.joinpath("small.csv.gz").write_bytes(whole[:-20])
    with pytest.raises(InputError, match="cannot be read"):
        list(expected(mapping, tmp_path))


def test_a_parquet_file_that_is_none_is_refused(tmp_path: Path) -> None:
    """Anything that is not Parquet gives our error, not the library's."""
    mapping = small(tmp_path, "", path="small.parquet")
    tmp_path.joinpath("small.parquet").write_bytes(b"PAR1 and no more")
    with pytest.raises(InputError, match="Parquet"):
        list(expected(mapping, tmp_path))


def test_decimal_commas_and_semicolons_are_read(tmp_path: Path) -> None:
    """A file as spreadsheets here write it."""
    mapping = small(tmp_path, "time;T\n2026-01-01T00:00;-1,5\n", delimiter=";", decimal=",")
    assert [value.value for value in expected(mapping, tmp_path)] == [-1.5]


def test_missing_values_are_counted_by_reason(tmp_path: Path) -> None:
    """Blank, a text, a number in any spelling and a condition: each is left out and counted under its name."""
    column = {
        "column": "T",
        "device": "small-one",
        "key": "air_temperature",
        "unit": "Cel",
        "missing": ["n/a", -200],
        "missing_when": [{"blank": "RH", "value": 0, "reason": "0 beside a blank RH"}],
    }
    text = "time,T,RH\n" + "".join(
        f"2026-01-01T{hour:02}:00,{cells}\n"
        for hour, cells in enumerate(["1,50", ",50", "n/a,50", "-200.0,50", "0,", "0,50", "2,"])
    )
    mapping = small(tmp_path, text, column=[column], ignored={"RH": "only tells whether T is one"})
    tally = Read()
    assert [reading.value for reading in readings(mapping, tmp_path, tally)] == [1.0, 0.0, 2.0]
    assert tally.missing == {"blank": 1, "'n/a' in T": 1, "-200 in T": 1, "0 beside a blank RH": 1}
    assert (tally.rows, tally.cells, tally.valid) == (7, 7, 3)


def test_a_repeated_instant_makes_a_record_of_its_own(tmp_path: Path) -> None:
    """Both are sent; the platform stores the first and holds the second as a collision, and we say which."""
    text = "time,T\n2026-01-01T00:00,1\n2026-01-01T01:00,2\n2026-01-01T00:00,3\n"
    mapping = small(tmp_path, text)
    with opened(mapping, tmp_path) as recording:
        found = [(record.seq, record.m["air_temperature"]) for record in recording.staging.by_time()]
        assert found == [(1, 1.0), (2, 3.0), (3, 2.0)]
        assert (recording.read.repeated_records, recording.read.repeated_values) == (1, 1)
    assert [value.value for value in expected(mapping, tmp_path)] == [1.0, 2.0]
    assert [value.value for value in repeated(mapping, tmp_path)] == [3.0]


def test_a_device_name_that_cannot_be_is_refused(tmp_path: Path) -> None:
    """A template may make anything of a cell; what is no device name stops the replay with a reason."""
    column = {"column": "T", "device": "one-{who}", "key": "air_temperature", "unit": "Cel"}
    mapping = small(tmp_path, "time,T,who\n2026-01-01T00:00,1,A B\n", column=[column])
    with pytest.raises(InputError, match="'one-A B'"):
        list(expected(mapping, tmp_path))


def test_wide_and_long_files_become_devices_and_channels(tmp_path: Path) -> None:
    """`match` takes one column a detector, a template the detector's name from a cell."""
    wide = {"match": "d[0-9]", "device": "loop-{column}", "key": "vehicle_count", "unit": "{vehicle}"}
    mapping = small(tmp_path, "time,d1,d2\n2026-01-01T00:00,1,2\n", column=[wide])
    assert [(value.device, value.value) for value in expected(mapping, tmp_path)] == [
        ("loop-d1", 1.0),
        ("loop-d2", 2.0),
    ]
    long = {"column": "n", "device": "signal", "key": "vehicle_count:det{id}", "unit": "{vehicle}"}
    mapping = small(tmp_path, "time,id,n\n2026-01-01T00:00,7,1\n2026-01-01T00:00,8,2\n", column=[long])
    with opened(mapping, tmp_path) as recording:
        assert [record.m for record in recording.staging.by_time()] == [
            {"vehicle_count:det7": 1.0, "vehicle_count:det8": 2.0}
        ]


def test_a_record_never_exceeds_what_the_contract_allows(tmp_path: Path) -> None:
    """100 channels of one instant go into two records; none of them repeats anything."""
    names = [f"c{number}" for number in range(100)]
    every = {"match": "c[0-9]+", "device": "big", "key": "vehicle_count:{column}", "unit": "{vehicle}"}
    text = f"time,{','.join(names)}\n2026-01-01T00:00,{','.join('1' for _ in names)}\n"
    with opened(small(tmp_path, text, column=[every]), tmp_path) as recording:
        assert [len(record.m) for record in recording.staging.by_time()] == [64, 36]
        assert recording.read.repeated_records == 0


def test_the_identity_hangs_on_what_decides_the_records(tmp_path: Path) -> None:
    """A second replay has the same boots; another file or another meaning has others; a title changes nothing."""
    mapping = small(tmp_path, "time,T\n2026-01-01T00:00,1\n")

    def boot(changed: Any = mapping) -> str:
        with opened(changed, tmp_path) as recording:
            return recording.boot("small-one")

    first = boot()
    assert boot() == first
    assert len(first) == 8
    assert boot(msgspec.structs.replace(mapping, title="Another title", notes="More")) == first
    other = msgspec.structs.replace(mapping.source[0], delimiter=",", decimal=",")
    assert boot(msgspec.structs.replace(mapping, source=[other])) != first
    tmp_path.joinpath("small.csv").write_text("time,T\n2026-01-01T00:00,2\n")
    assert boot() != first


def test_a_description_begins_before_the_first_record(tmp_path: Path) -> None:
    """Registered as described, no record lies before its device's service."""
    mapping = small(tmp_path, "time,T\n2026-01-02T00:30,1\n2026-01-01T00:30,1\n")
    with opened(mapping, tmp_path) as recording:
        found = description(recording)
    assert found["devices"] == [
        {
            "device": "small-one",
            "city": "small",
            "site": "here",
            "profile": "thermometer",
            "valid_from": "2025-12-31T00:00:00Z",
            "datastreams": ["air_temperature"],
        }
    ]


def test_a_device_that_no_rule_places_is_refused(tmp_path: Path) -> None:
    """A description is complete or it is an error."""
    mapping = small(tmp_path, "time,T\n2026-01-02T00:30,1\n")
    nowhere = msgspec.structs.replace(mapping.device[0], device="other-*")
    with (
        opened(msgspec.structs.replace(mapping, device=[nowhere]), tmp_path) as recording,
        pytest.raises(InputError, match="where small-one stands"),
    ):
        description(recording)


def test_the_guide_explains_every_key() -> None:
    """A key that a mapping may hold, and a mapping that comes with the project, stand in the how-to."""
    guide = (ROOT / "docs" / "how-to" / "replay-a-recording.md").read_text(encoding="utf-8")
    tables = (Mapping, City, Site, DeviceRule, Source, Time, Column, Condition)
    keys = {key for table in tables for key in table.__struct_fields__}
    assert {word for word in keys | set(built_in()) if not re.search(rf"\b{word}\b", guide)} == set()


def test_the_example_of_the_guide_is_a_mapping_that_works(tmp_path: Path) -> None:
    """What a person copies from the how-to loads, and reads a file of that form."""
    guide = (ROOT / "docs" / "how-to" / "replay-a-recording.md").read_text(encoding="utf-8")
    example = guide.split("```toml\n")[1].split("```")[0]
    path = tmp_path / "school_yard.toml"
    path.write_text(example, encoding="utf-8")
    tmp_path.joinpath("school").mkdir()
    text = "Koha;NO2 ppb;Pump\n15.01.2025 12:00;10,0;1\n15.01.2025 12:10;0,0;\n15.01.2025 12:20;-999;1\n"
    tmp_path.joinpath("school", "yard.csv").write_text(text, encoding="utf-8")
    [value] = expected(load(str(path)), tmp_path)
    assert (value.device, value.key, value.t_ms) == ("yard-1", "no2", 1736938800000)
    assert value.value == pytest.approx(19.125, rel=1e-4)
