"""Frames of serial sensors: cut out of any stream, checked, and read in the maker's units."""

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qytet_edge.inbox.uart import mhz19, nmea, pms5003, sds011
from qytet_edge.inbox.uart.config import SENSORS
from qytet_edge.inbox.uart.frames import Sensor

# Recorded from sensors or printed in the makers' manuals, not made by our own code.
PMS_FRAME = bytes.fromhex("424d001c0029003e0046001f002e003c19ec07bf01690036000800009100 04e5")
SDS_FRAME = bytes.fromhex("aac0d4043a0aa1601dab")
MHZ_FRAME = bytes.fromhex("ff86026047000000d1")
FRAMES = {"pms5003": PMS_FRAME, "sds011": SDS_FRAME, "mhz19": MHZ_FRAME}


def said(sensor: Sensor, data: bytes) -> list[dict[str, float | None] | None]:
    return [sensor.values(frame) for frame in sensor.frames().feed(data)]


def test_reads_frames_in_the_units_of_the_catalogue() -> None:
    """A frame of a real sensor gives its values; of a PMS5003 those for ambient air, not those for CF=1."""
    assert said(SENSORS["pms5003"], PMS_FRAME) == [{"pm1": 31, "pm2_5": 46, "pm10": 60}]
    assert said(SENSORS["sds011"], SDS_FRAME) == [{"pm2_5": 123.6, "pm10": 261.8}]
    assert said(SENSORS["mhz19"], MHZ_FRAME) == [{"co2": 608}]


def test_sends_the_commands_of_the_manuals() -> None:
    """Commands are those that the makers print, checksums included."""
    assert sds011.SENSOR.sleep == bytes.fromhex("aab406010000000000000000000000ffff05ab")
    assert sds011.SENSOR.wake == bytes.fromhex("aab406010100000000000000000000ffff06ab")
    assert mhz19.SENSOR.ask == bytes.fromhex("ff0186000000000079")
    assert mhz19.SELF_CALIBRATION[True] == bytes.fromhex("ff0179a000000000e6")
    assert mhz19.SELF_CALIBRATION[False] == bytes.fromhex("ff01790000000000 86")
    assert pms5003.SENSOR.sleep == bytes.fromhex("424de400000173")


@pytest.mark.parametrize("name", FRAMES)
def test_any_flipped_bit_is_caught(name: str) -> None:
    """A frame with one wrong bit gives no value at all, wherever the bit is."""
    frame = FRAMES[name]
    for at in range(8 * len(frame)):
        wrong = bytearray(frame)
        wrong[at // 8] ^= 1 << at % 8
        assert not any(said(SENSORS[name], bytes(wrong)))


@pytest.mark.parametrize("name", FRAMES)
@given(cuts=st.lists(st.integers(1, 40), max_size=30), before=st.integers(0, 31))
def test_however_the_stream_is_cut(name: str, cuts: list[int], before: int) -> None:
    """Frames are found whatever pieces they come in, and one that was cut short costs only itself."""
    frame = FRAMES[name]
    stream = frame[: min(before, len(frame) - 1)] + frame * 5
    frames = SENSORS[name].frames()
    found = []
    for cut in cuts:
        found += frames.feed(stream[:cut])
        stream = stream[cut:]
    found += frames.feed(stream)
    assert found == [frame] * 5


@pytest.mark.parametrize("name", FRAMES)
def test_finds_its_way_back_after_garbage(name: str) -> None:
    """Noise, heads without a body and halves of frames between good frames lose none of the good ones."""
    luck = Random(7)
    frame = FRAMES[name]
    sensor = SENSORS[name]
    frames = sensor.frames()
    found = []
    for _ in range(200):
        noise = bytes(luck.choices(range(0x20), k=luck.randrange(60))) + frame[: luck.randrange(len(frame))]
        found += frames.feed(noise + frame)
    assert found == [frame] * 200
    assert frames.bad > 0
    assert frames.skipped > 0


@pytest.mark.parametrize("name", FRAMES)
def test_keeps_no_more_than_one_frame(name: str) -> None:
    """A line that only ever brings noise uses no memory, and every byte of it is counted."""
    luck = Random(3)
    frames = SENSORS[name].frames()
    good = 0
    for _ in range(300):
        good += len(frames.feed(luck.randbytes(1000)))
    assert len(frames._held) <= len(FRAMES[name])
    assert frames.skipped + good * len(FRAMES[name]) + len(frames._held) == 300_000


RMC = b"$GPRMC,123519,A,4807.038,N,01131.000,E,022.4,084.4,230394,003.1,W*6A\r\n"
GGA = b"$GPGGA,123519,4807.038,N,01131.000,E,1,08,0.9,545.4,M,46.9,M,,*47\r\n"


def sentence(body: str) -> bytes:
    check = 0
    for letter in body.encode():
        check ^= letter
    return f"${body}*{check:02X}\r\n".encode()


def test_reads_place_and_time_of_sentences() -> None:
    """RMC and GGA give place, height, satellites and the time to the millisecond."""
    sentences = nmea.Sentences()
    modern = sentence("GNRMC,235959.99,A,4119.65432,S,01949.12345,W,0.0,,311226,,,D")
    assert sentences.feed(GGA + RMC) == [sentences.fix]
    assert (sentences.fix.altitude, sentences.fix.satellites) == (545.4, 8)
    assert (sentences.fix.latitude, sentences.fix.longitude) == (48.1173, 11.516667)
    (fix,) = sentences.feed(modern)
    assert fix.t_ms == 1798761599990
    assert (fix.latitude, fix.longitude) == (-41.327572, -19.818724)


def test_a_leap_second_is_the_next_minute() -> None:
    """The second 60 of a leap second is a time, not an error."""
    (fix,) = nmea.Sentences().feed(sentence("GPRMC,235960.00,A,4807.038,N,01131.000,E,,,311216,,,A"))
    assert fix.t_ms == 1483228800000


@pytest.mark.parametrize(
    "body",
    [
        "GNRMC,123519,V,4807.038,N,01131.000,E,,,230326,,,N",
        "GNRMC,123519,A,4807.038,N,01131.000,E,,,230326,,,E",
        "GNRMC,,V,,,,,,,,,,N",
        "GNRMC,126619,A,4807.038,N,01131.000,E,,,230326,,,A",
        "GNRMC,123519,A,9907.038,N,01131.000,E,,,230326,,,A",
        "GNRMC,123519,A,4807.038,N,01131.000,E,,,,,,A",
        "GNRMC,123519,A",
    ],
)
def test_offers_no_time_without_a_fix(body: str) -> None:
    """A receiver without a fix, one that guesses, and fields that make no sense set no clock."""
    assert all(fix.t_ms is None for fix in nmea.Sentences().feed(sentence(body)))


def test_any_flipped_bit_of_a_sentence_is_caught() -> None:
    """A sentence with one wrong bit gives no time and no place."""
    body = RMC.rstrip()
    for at in range(8 * len(body)):
        wrong = bytearray(body)
        wrong[at // 8] ^= 1 << at % 8
        sentences = nmea.Sentences()
        read = sentences.feed(bytes(wrong) + b"\r\n")
        assert not read or wrong.upper() == body  # a checksum's hexadecimal digits may be of either case


def test_lines_without_an_end_are_let_go() -> None:
    """A binary stream without line ends uses no memory, and sentences are found again after it."""
    sentences = nmea.Sentences()
    for _ in range(100):
        sentences.feed(b"\xb5\x62" * 100)
    assert len(sentences._held) <= 200
    assert len(sentences.feed(b"\xb5\n" + RMC)) == 1
