"""The mappings over the real recordings: values copied by hand from the files, and counts made without our reader."""

import csv
import itertools
from datetime import datetime

import pytest

from qytet_simulators.replay import built_in, expected, load, repeated
from qytet_simulators.replay.recording import opened
from tests.simulators.replay_support import recordings, rows_of

Spot = tuple[str, str, str, float]

# Device, key, UTC instant, value: computed by hand from the line of the file that the comment names.
SPOTS: dict[str, list[Spot]] = {
    "river": [
        ("river-flow", "water_flow_rate", "2022-03-20T10:00Z", 362.124),  # line 2: 11:00+01:00, 100.59 l/s
        (
            "river-flow",
            "water_flow_rate",
            "2022-03-27T00:00Z",
            366.984,
        ),  # 01:00+01:00, 101.94: last before the switch
        (
            "river-flow",
            "water_flow_rate",
            "2022-03-27T01:00Z",
            365.508,
        ),  # 03:00+02:00, 101.53: first after it
        ("river-flow", "water_flow_rate", "2022-05-16T20:00Z", 374.76),  # last line: 22:00+02:00, 104.1
    ],
    "uci_air_quality": [
        ("uci-air-station", "co", "2004-03-10T17:00Z", 2.6),  # line 2: 10/03/2004 18:00
        ("uci-air-station", "benzene", "2004-03-10T17:00Z", 11.9),
        ("uci-air-station", "no2", "2004-03-10T17:00Z", 113.0),
        ("uci-air-station", "air_temperature", "2004-03-10T17:00Z", 13.6),
        ("uci-air-station", "relative_humidity", "2004-03-10T17:00Z", 48.9),
        (
            "uci-air-station",
            "co",
            "2004-03-28T01:00Z",
            1.7,
        ),  # line 418: 28/03/2004 02:00, an hour that clocks skipped
        ("uci-air-station", "co", "2004-10-31T01:00Z", 1.3),  # line 5626: 31/10/2004 02:00
        ("uci-air-station", "benzene", "2004-12-31T22:00Z", 4.6),  # last line: 31/12/2004 23:00
    ],
    "nab_temperature": [
        (
            "nab-office-temperature",
            "air_temperature",
            "2013-07-04T00:00Z",
            21.044908411111111,
        ),  # 69.88083514 degF
        (
            "nab-office-temperature",
            "air_temperature",
            "2014-05-28T15:00Z",
            22.546715877777778,
        ),  # last line: 72.58408858
    ],
    "nab_traffic": [
        ("nab-loop-6005", "lane_occupancy", "2015-09-01T18:45Z", 3.06),  # line 2: 13:45 in Minnesota
        ("nab-loop-6005", "vehicle_speed_mean", "2015-08-31T23:22Z", 144.84096),  # line 2: 18:22, 90 mile/h
        ("nab-loop-t4013", "lane_occupancy", "2015-09-10T10:33Z", 2.56),  # the first of the repeated 05:33
        ("nab-loop-t4013", "vehicle_speed_mean", "2015-09-10T10:33Z", 106.216704),  # likewise: 66 mile/h
        (
            "nab-loop-7578",
            "vehicle_speed_mean",
            "2015-09-17T19:05Z",
            43.452288,
        ),  # last line: 14:05, 27 mile/h
        ("nab-route-387", "travel_time", "2015-07-10T19:24Z", 564.0),  # line 2: 14:24
        ("nab-route-451", "travel_time", "2015-09-17T22:09Z", 209.0),  # last line: 17:09
    ],
    "los_loop": [
        (
            "la-loop-773869",
            "vehicle_speed_mean",
            "2012-03-01T08:00Z",
            103.60152,
        ),  # line 2: 64.375 mile/h at 00:00
        (
            "la-loop-767541",
            "vehicle_speed_mean",
            "2012-03-01T08:05Z",
            110.32947200715264,
        ),  # line 3: 68.55555556
        (
            "la-loop-773869",
            "vehicle_speed_mean",
            "2012-03-06T07:55Z",
            108.74567314055808,
        ),  # last line: 67.57142857
    ],
    "gecco2018": [
        ("gecco-outlet", "water_temperature", "2016-08-03T07:49Z", 6.5),  # line 2: 09:49 in Germany
        ("gecco-outlet", "water_ph", "2016-08-03T07:49Z", 8.36),
        ("gecco-outlet", "water_orp", "2016-08-03T07:49Z", 749.0),
        ("gecco-outlet", "water_conductivity", "2016-08-03T07:49Z", 211.0),
        ("gecco-outlet", "water_turbidity", "2016-08-03T07:49Z", 0.011),
        ("gecco-outlet", "water_flow_rate:line1", "2016-08-03T07:49Z", 1677.0),
        ("gecco-outlet", "water_flow_rate:line2", "2016-08-12T21:59Z", 795.0),  # last line: 23:59
    ],
    "seattle_weather": [
        ("seattle-weather", "precipitation_amount", "2012-01-02T08:00Z", 10.9),  # line 3: 2012/01/02
        ("seattle-weather", "air_temperature:max", "2012-01-02T08:00Z", 10.6),
        ("seattle-weather", "air_temperature:min", "2012-01-02T08:00Z", 2.8),
        ("seattle-weather", "wind_speed", "2012-01-02T08:00Z", 4.5),
        ("seattle-weather", "air_temperature:max", "2013-07-15T07:00Z", 27.8),  # line 563, in summer time
    ],
    "traffic_counts": [
        ("oregon-signal-85", "vehicle_count:det22", "2024-04-18T07:15Z", 2.0),  # row 1: 00:15 in Oregon
        ("oregon-signal-85", "vehicle_count:det15", "2024-04-18T07:00Z", 3.0),  # row 4: 00:00
        ("oregon-signal-85", "vehicle_count:det2", "2024-04-18T07:15Z", 11.0),  # row 6: 00:15
    ],
    "traffic_travel_times": [
        (
            "oregon-link-448838574",
            "travel_time",
            "2022-09-02T13:00Z",
            20.709999084472656,
        ),  # row 1: 06:00 in Oregon
        ("oregon-link-448838574", "travel_time", "2022-09-02T17:00Z", 27.415000915527344),  # row 5: 10:00
    ],
}

# The columns of the catalogue in each CSV recording, for counts by the csv module alone.
COLUMNS = {
    "river": ["Water flow [l/s]"],
    "seattle_weather": ["precipitation", "temp_max", "temp_min", "wind"],
    "uci_air_quality": ["CO(GT)", "C6H6(GT)", "NO2(GT)", "T", "RH"],
}
FILES = {
    "river": ("river", "water-flow.csv"),
    "seattle_weather": ("seattle_weather", "seattle-weather.csv"),
    "uci_air_quality": ("uci_air_quality", "air_quality_2004.csv"),
}


def utc_ms(text: str) -> int:
    return round(datetime.fromisoformat(text).timestamp() * 1000)


def test_every_mapping_has_spot_values() -> None:
    """No recording is replayed without a value that somebody has computed by hand."""
    assert sorted(SPOTS) == built_in()


@pytest.mark.parametrize("name", sorted(SPOTS))
def test_a_recording_gives_the_values_computed_by_hand(name: str) -> None:
    """Each spot value stands at its instant, under its datastream, in the catalogue's unit, exactly once."""
    mapping = load(name)
    data = recordings(mapping.source[0].path)
    wanted = {(device, key, utc_ms(instant)): value for device, key, instant, value in SPOTS[name]}
    found: dict[tuple[str, str, int], list[float]] = {}
    for device, key, t_ms, value in expected(mapping, data):
        if (device, key, t_ms) in wanted:
            found.setdefault((device, key, t_ms), []).append(value)
    assert found == {place: [value] for place, value in wanted.items()}


@pytest.mark.parametrize("name", sorted(COLUMNS))
def test_the_account_equals_an_independent_count(name: str) -> None:
    """Rows, values and missing values of the account are those that the csv module counts."""
    data = recordings(*FILES[name])
    rows = rows_of(data, *FILES[name])
    cells = [row[column] for row in rows for column in COLUMNS[name]]
    blank = sum(cell == "" for cell in cells)
    false_benzene = sum("C6H6(GT)" in row and not float(row["C6H6(GT)"]) and not row["T"] for row in rows)
    with opened(load(name), data) as recording:
        read = recording.read
        assert (read.rows, read.cells) == (len(rows), len(cells))
        assert read.valid == len(cells) - blank - false_benzene
        assert sum(read.missing.values()) == blank + false_benzene


def test_blank_benzene_is_not_stored_as_zero() -> None:
    """In this copy 228 blanks became 0.0; none of them is a reading, and no true value is lost."""
    data = recordings(*FILES["uci_air_quality"])
    benzene = [value.value for value in expected(load("uci_air_quality"), data) if value.key == "benzene"]
    assert min(benzene) > 0
    with opened(load("uci_air_quality"), data) as recording:
        assert recording.read.missing["benzene 0.0 that stands for blank"] == 228


def test_the_river_has_no_hour_twice_and_none_invented() -> None:
    """Across the switch of 27 March 2022 the instants rise by whole hours, and each stamp is kept."""
    data = recordings(*FILES["river"])
    instants = [value.t_ms for value in expected(load("river"), data)]
    assert len(instants) == len(set(instants)) == len(rows_of(data, *FILES["river"]))
    assert all((after - before) % 3_600_000 == 0 for before, after in itertools.pairwise(instants))
    switch = utc_ms("2022-03-27T01:00Z")
    assert {switch - 3_600_000, switch, switch + 3_600_000} <= set(instants)


def test_civil_time_would_be_wrong_for_the_italian_station() -> None:
    """The file has an hour that Italian clocks skipped and repeats none: its stamps have one fixed offset."""
    data = recordings(*FILES["uci_air_quality"])
    stamps = [row["Datetime"] for row in rows_of(data, *FILES["uci_air_quality"])]
    assert "28/03/2004 02:00:00" in stamps
    assert stamps.count("31/10/2004 02:00:00") == 1
    times = [value.t_ms for value in expected(load("uci_air_quality"), data) if value.key == "benzene"]
    assert {(after - before) % 3_600_000 for before, after in itertools.pairwise(times)} == {0}


def test_the_repeated_stamp_is_one_collision() -> None:
    """Sensor t4013 has 2015-09-10 05:33 twice in both files: the later values are named, not dropped."""
    data = recordings("nab", "occupancy_t4013.csv")
    at = utc_ms("2015-09-10T10:33Z")
    assert [tuple(value) for value in repeated(load("nab_traffic"), data)] == [
        ("nab-loop-t4013", "lane_occupancy", at, 8.94),
        ("nab-loop-t4013", "vehicle_speed_mean", at, 99.779328),
    ]


def test_every_road_value_is_in_the_account() -> None:
    """The seven road files hold as many values as the account says, none blank."""
    data = recordings("nab", "occupancy_t4013.csv")
    mapping = load("nab_traffic")
    rows = sum(len(rows_of(data, source.path)) for source in mapping.source)
    with opened(mapping, data) as recording:
        read = recording.read
    assert (read.rows, read.valid, read.repeated_values, read.repeated_records) == (rows, rows, 2, 1)


def test_each_detector_of_the_wide_file_is_a_device() -> None:
    """207 columns, 1,440 rows of 5 minutes: 298,080 values, each row's cells under the column's own name."""
    data = recordings("los_loop", "los_speed_days1-5.csv")
    path = data / "los_loop" / "los_speed_days1-5.csv"
    with path.open(newline="") as file:
        header, *rows = list(csv.reader(file))
    with opened(load("los_loop"), data) as recording:
        assert recording.staging.devices == [f"la-loop-{name}" for name in header]
        assert recording.read.valid == len(header) * len(rows) == 298_080
        one = list(recording.staging.by_device(f"la-loop-{header[100]}"))
    assert [record.seq for record in one] == list(range(1, len(rows) + 1))
    assert [record.m["vehicle_speed_mean"] for record in one] == pytest.approx(
        [float(row[100]) * 1.609344 for row in rows], rel=1e-15
    )
    assert one[-1].up == 300_000 * (len(rows) - 1)


def test_the_detectors_of_one_signal_share_its_records() -> None:
    """54,824 rows of 22 detectors are 2,492 records with 22 channels each, whatever order the rows came in."""
    pytest.importorskip("pyarrow")
    data = recordings("traffic_anomaly", "sample_counts.parquet")
    with opened(load("traffic_counts"), data) as recording:
        found = list(recording.staging.by_time())
    assert {len(record.m) for record in found} == {22}
    assert len(found) == 2492
    assert all(before.t < after.t for before, after in itertools.pairwise(found))
