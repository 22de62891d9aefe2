"""Hypothesis strategies for messages: valid records, and malformed messages of every recipe."""

from random import Random

from hypothesis import strategies as st

from qytet_contract import topics
from qytet_simulators.fuzz import Fuzzer, Malformed, meaning, seeds, text
from qytet_simulators.fuzz.fuzzer import encoded

KINDS = tuple(dict.fromkeys(seeds.KINDS))


@st.composite
def valid_messages(draw: st.DrawFn) -> tuple[str, bytes]:
    """Kind and payload of a message that the contract accepts."""
    kind = draw(st.sampled_from(KINDS))
    dice = Random(draw(st.integers(0, 2**32)))
    return kind, encoded(seeds.valid(kind, dice, draw(st.integers(0, 10**6))))


@st.composite
def spoilt_payloads(draw: st.DrawFn) -> tuple[str, bytes, str]:
    """Kind, payload and recipe of a message that someone has tried to spoil; it may still be valid."""
    kind = draw(st.sampled_from(KINDS))
    dice = Random(draw(st.integers(0, 2**32)))
    fields = seeds.valid(kind, dice, draw(st.integers(0, 10**6)))
    if draw(st.booleans()):
        recipe = draw(st.sampled_from(text.RECIPES))
        return kind, recipe(encoded(fields), dice), recipe.__name__
    change = draw(st.sampled_from(meaning.RECIPES))
    return kind, encoded(change(fields, dice)), change.__name__


def malformed_messages() -> st.SearchStrategy[Malformed]:
    """Messages that the contract refuses."""
    devices = [("tirana", "tirana-air-01")]
    return st.builds(lambda seed: Fuzzer(seed, devices).one(), st.integers(0, 2**63))


def message_topic(kind: str) -> str:
    """The topic of a device's messages of this kind."""
    return topics.topic("tirana", "tirana-air-01", kind, ident="fuzz" if kind == topics.ACK else "")
