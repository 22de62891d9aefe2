"""Finding the answer among the bytes heard: pure, against the specification's own examples and random noise."""

from hypothesis import given
from hypothesis import strategies as st

from qytet_edge.inbox.modbus.errors import GarbledError, NoAnswerError
from qytet_edge.inbox.modbus.frames import crc, explain_rtu, explain_tcp, find_rtu, find_tcp
from qytet_simulators.instruments.modbus_unit import checksum


def _rtu(text: str) -> bytes:
    frame = bytes.fromhex(text)
    return frame + crc(frame)


ASKED = _rtu("01 04 0000 0002")
TOLD = _rtu("01 04 04 43676666")
TCP_ASKED = bytes.fromhex("0007 0000 0006 01 04 0000 0002")
TCP_TOLD = bytes.fromhex("0007 0000 0007 01 04 04 43676666")


def test_the_checksum_is_that_of_the_specification() -> None:
    """A known request ends in the bytes that every Modbus master sends."""
    assert crc(bytes.fromhex("010300000002")) == bytes.fromhex("C40B")


@given(st.binary(max_size=64))
def test_two_ways_to_compute_the_checksum_agree(data: bytes) -> None:
    """The gateway's table and the simulator's bit by bit give the same for anything."""
    assert crc(data) == checksum(data)


@given(st.binary(max_size=40).filter(lambda noise: b"\x01\x04\x04" not in noise), st.binary(max_size=40))
def test_a_sound_answer_is_found_in_any_noise(before: bytes, after: bytes) -> None:
    """Whatever surrounds it, an answer of the right unit, function and length with a good checksum is found."""
    assert find_rtu(ASKED, before + TOLD + after) == TOLD


@given(st.integers(0, len(TOLD) * 8 - 1))
def test_a_single_flipped_bit_never_passes(bit: int) -> None:
    """No answer with one wrong bit is taken for sound."""
    spoiled = bytearray(TOLD)
    spoiled[bit // 8] ^= 1 << bit % 8
    assert find_rtu(ASKED, bytes(spoiled)) is None


@given(st.binary(max_size=64), st.binary(max_size=64))
def test_no_bytes_whatever_raise(asked_tail: bytes, heard: bytes) -> None:
    """Whatever is heard, looking at it ends in an answer, or in words."""
    assert find_rtu(ASKED, asked_tail) in (None, TOLD)
    find_tcp(TCP_ASKED, heard)
    assert str(explain_rtu(ASKED, heard))
    assert str(explain_tcp(TCP_ASKED, heard))


def test_an_answer_of_another_shape_is_not_taken() -> None:
    """An answer of another unit, function or count is no answer to this question."""
    for other in ("02 04 04 43676666", "01 03 04 43676666", "01 04 02 4367"):
        assert find_rtu(ASKED, _rtu(other)) is None
        assert isinstance(explain_rtu(ASKED, _rtu(other)), GarbledError)


def test_a_refusal_is_an_answer() -> None:
    """A Modbus exception ends the waiting as an answer does."""
    refusal = _rtu("01 84 02")
    assert find_rtu(ASKED, b"\xff" + refusal) == refusal


def test_a_write_is_confirmed_by_its_own_words() -> None:
    """The answer to a write must repeat what was asked."""
    asked = _rtu("01 06 0010 0001")
    assert find_rtu(asked, asked) == asked
    assert find_rtu(asked, _rtu("01 06 0010 0002")) is None


def test_a_sound_answer_that_came_too_late_is_called_so() -> None:
    """It has no bad checksum and is no noise, and a TCP stream that brought it has not lost its step."""
    for error in (explain_rtu(ASKED, b"\xff" + TOLD), explain_tcp(TCP_ASKED, TCP_TOLD)):
        assert isinstance(error, NoAnswerError)
        assert "too late" in str(error)


def test_silence_is_no_garbage() -> None:
    """Nothing heard, or only oneself, is silence."""
    assert isinstance(explain_rtu(ASKED, b""), NoAnswerError)
    assert isinstance(explain_rtu(ASKED, ASKED), NoAnswerError)
    assert isinstance(explain_tcp(TCP_ASKED, b""), NoAnswerError)


def test_on_tcp_answers_to_earlier_questions_are_passed_over() -> None:
    """A late answer's transaction number is another: it is skipped, the right one behind it is found."""
    late = b"\x00\x06" + TCP_TOLD[2:]
    assert find_tcp(TCP_ASKED, late) is None
    assert find_tcp(TCP_ASKED, late + TCP_TOLD) == TCP_TOLD
    assert find_tcp(TCP_ASKED, TCP_TOLD[:-1]) is None
    assert find_tcp(TCP_ASKED, b"\x00" + TCP_TOLD) is None
