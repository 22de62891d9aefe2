"""The fast exact reader gives the contract's own verdicts."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qytet_contract import strictjson
from qytet_contract.codes import ContractError
from qytet_ingest import exactjson
from qytet_simulators.fuzz import Fuzzer, load_vectors

VECTORS = Path(__file__).parents[2] / "contract" / "vectors"


def verdict(read, raw):
    try:
        return True, read(raw)
    except ContractError as error:
        return False, error.code


@pytest.mark.parametrize("seed", range(3))
def test_spoilt_messages_get_the_same_verdict(seed):
    """Whether a message is JSON at all, and what it says, is judged alike for thousands of spoilt messages."""
    fuzzer = Fuzzer(seed, [("tirana", "d1")], load_vectors(VECTORS))
    for message in fuzzer.messages(2500):
        reference, ours = (
            verdict(strictjson.loads, message.payload),
            verdict(exactjson.loads, message.payload),
        )
        assert ours[0] == reference[0], message
        if ours[0]:
            assert ours[1] == reference[1]


@given(
    st.binary(max_size=60) | st.text('{}[]",:0123456789.eE+-truefalsn\\ul \n', max_size=40).map(str.encode)
)
def test_any_bytes_get_the_same_verdict(raw):
    """Bytes of any kind are accepted by both or by neither, with the same value."""
    reference, ours = verdict(strictjson.loads, raw), verdict(exactjson.loads, raw)
    assert ours[0] == reference[0]
    if ours[0]:
        assert ours[1] == reference[1]
