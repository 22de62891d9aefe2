"""The splitting of bytes into MQTT packets: however they are cut, the same messages come out, or a clear refusal."""

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qytet_ingest import mqtt_packets as mqtt
from tests.ingest.fake_broker import length, publish

MESSAGES = st.lists(
    st.tuples(st.binary(max_size=20), st.binary(max_size=300), st.none() | st.integers(1, 65535)), max_size=12
)


def split(stream, cuts):
    """What comes out when the stream arrives in these pieces."""
    topics, payloads, tokens, others, rest = [], [], [], [], b""
    for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True):
        buffer = rest + stream[start:end]
        used, found = mqtt.frames(buffer, topics, payloads, tokens)
        others += found
        rest = buffer[used:]
    return list(zip(topics, payloads, tokens, strict=True)), others, rest


@given(MESSAGES, st.data())
def test_any_cut_gives_the_same_messages(messages, data):
    """Messages and other packets survive any division of their bytes, in order, with nothing left over."""
    stream, others = b"", []
    for at, message in enumerate(messages):
        stream += publish(*message)
        if at % 3 == 2:
            stream += b"\xd0\x00"
            others.append((13, b""))
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=30)))
    assert split(stream, cuts) == (messages, others, b"")


@given(st.binary(max_size=200))
def test_any_bytes_are_packets_or_refused(noise):
    """It is split, waited for, or refused with FrameError: nothing else is raised, nothing read twice."""
    topics, payloads, tokens = [], [], []
    try:
        used, _ = mqtt.frames(noise, topics, payloads, tokens)
    except mqtt.FrameError:
        return
    assert 0 <= used <= len(noise)
    assert len(topics) == len(payloads) == len(tokens)
    assert sum(map(len, topics)) + sum(map(len, payloads)) <= used


@pytest.mark.parametrize(
    "packet", [b"\x30\x00", b"\x32\x01\x00", b"\x32\x04\x00\x01a\x00", b"\x30\x03\x00\x02a"]
)
def test_a_publish_shorter_than_it_says_is_refused(packet):
    """A topic never runs into the next packet."""
    with pytest.raises(mqtt.FrameError, match="PUBLISH"):
        mqtt.frames(packet + b"\x30\x05\x00\x01aXX" * 3, [], [], [])


@pytest.mark.parametrize("size", [0, 127, 128, 16_383, 16_384, 2_097_151, 2_097_152])
def test_lengths_at_their_limits(size):
    """Each number of length bytes, at its first and last value, both ways."""
    assert mqtt.publish0(b"", b"x" * size)[1:] == length(size + 2) + b"\x00\x00" + b"x" * size
    assert split(publish(b"t", b"x" * size, 3), []) == ([(b"t", b"x" * size, 3)], [], b"")


@given(st.lists(st.integers(1, 65535), max_size=50))
def test_pubacks_are_one_packet_each(tokens):
    """Each token has its PUBACK, in order."""
    assert mqtt.pubacks(tokens) == b"".join(b"\x40\x02" + struct.pack(">H", token) for token in tokens)
