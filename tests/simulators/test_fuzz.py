"""The fuzzer's promise: distinct messages, repeatable, and each refused by the contract's exact reader."""

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings

from qytet.errors import InputError
from qytet_contract import notices, records, strictjson, topics
from qytet_contract.codes import CONTRACT_REFUSALS, ContractError
from qytet_simulators.device import wire
from qytet_simulators.fuzz import Fuzzer, Malformed, load_vectors, meaning, parcels, recorded, refusal, text
from qytet_simulators.oracle import Garbage, OracleWriter, read
from tests.simulators.fuzz_strategies import (
    malformed_messages,
    message_topic,
    spoilt_payloads,
    valid_messages,
)

VECTORS = Path(__file__).parents[2] / "contract" / "vectors"
DEVICES = [("tirana", "tirana-air-01"), ("durres", "durres-tank-01"), ("korce", "korce-air-01")]
CHECKS = {
    topics.BIRTH: notices.check_birth,
    topics.STATE: notices.check_state,
    topics.LOG: notices.check_log,
    topics.ACK: notices.check_ack,
    topics.OBS: records.check_obs,
}


def exactly_refused(message: Malformed) -> bool:
    """The slow, exact verdict, by the contract's own reader alone."""
    if topics.parse(message.topic) is None:
        return True
    try:
        value = strictjson.loads(message.payload)
        if message.kind != topics.HIST:
            CHECKS[message.kind](value)
            return False
        wrong = records.check_hist(value)
        assert isinstance(value, dict)
        return bool(wrong) and len(wrong) == len(value["r"])
    except ContractError:
        return True


def test_every_message_is_refused_and_none_repeats() -> None:
    """Six thousand messages, golden ones among them: each refused by the exact reader, no two alike."""
    fuzzer = Fuzzer(7, DEVICES, load_vectors(VECTORS))
    seen = set()
    for message in fuzzer.messages(6000):
        assert exactly_refused(message), message
        seen.add((message.topic, message.payload))
    assert len(seen) == 6000


def test_every_recipe_and_every_reason_occurs() -> None:
    """No recipe is dead weight, and every refusal of the contract is provoked."""
    fuzzer = Fuzzer(8, DEVICES, load_vectors(VECTORS))
    for _ in fuzzer.messages(20_000):
        pass
    recipes = {recipe.__name__ for recipe in (*text.RECIPES, *meaning.RECIPES)}
    assert recipes | {"oversized", "misplaced", "golden invalid", "bad_topic"} <= set(fuzzer.recipes)
    assert set(fuzzer.reasons) >= set(CONTRACT_REFUSALS)


def test_same_seed_same_messages() -> None:
    """A failure can be repeated: a seed stands for its messages; another seed makes others."""
    first = list(Fuzzer(3, DEVICES).messages(500))
    assert first == list(Fuzzer(3, DEVICES).messages(500))
    other = {message.payload for message in Fuzzer(4, DEVICES).messages(500)}
    assert len(other & {message.payload for message in first}) < 50


def test_messages_are_sent_in_the_devices_names() -> None:
    """Every message travels on a topic of one of the given devices, or on one that is no topic of ours."""
    for message in Fuzzer(5, DEVICES).messages(2000):
        parsed = topics.parse(message.topic)
        assert parsed is None or (parsed[0], parsed[1]) in DEVICES


@settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))
@given(spoilt_payloads())
def test_quick_verdict_agrees_with_the_exact_one(spoilt: tuple[str, bytes, str]) -> None:
    """The quick way to a verdict never calls malformed what the exact reader accepts, nor the reverse."""
    kind, payload, recipe = spoilt
    topic = message_topic(kind)
    quick = refusal(topic, payload)
    if payload:
        assert bool(quick) == exactly_refused(Malformed("", kind, topic, payload, recipe, ""))


@given(valid_messages())
def test_what_is_spoilt_was_valid(message: tuple[str, bytes]) -> None:
    """The messages that the fuzzer starts from keep the contract: so it is the spoiling that is refused."""
    kind, payload = message
    assert refusal(message_topic(kind), payload) == ""


@given(malformed_messages())
def test_reason_is_one_of_the_vocabulary(message: Malformed) -> None:
    """Whatever is refused is refused for a reason that the contract or the server has a word for."""
    assert message.reason in {*CONTRACT_REFUSALS, "bad_topic"}


def test_empty_birth_is_no_mistake() -> None:
    """An empty retained message clears the broker's memory; an empty reading is malformed."""
    assert refusal(message_topic(topics.BIRTH), b"") == ""
    assert refusal(message_topic(topics.OBS), b"") != ""


def test_parcels_carry_every_message_once(tmp_path: Path) -> None:
    """Packed for the fast publisher and written to the oracle, the messages are the same, each once."""
    with OracleWriter(tmp_path / "oracle") as oracle:
        packed = parcels(recorded(Fuzzer(6, DEVICES).messages(300), oracle), 4)
    sent = []
    for parcel in packed:
        for packet in parcel.packets:
            (incoming,) = wire.Splitter().feed(packet)
            sent.append(wire.message(incoming)[1])
    made = [message.payload for message in Fuzzer(6, DEVICES).messages(300)]
    assert sorted(sent) == sorted(made)
    assert [entry.payload for entry in read(tmp_path / "oracle") if isinstance(entry, Garbage)] == made


def test_missing_vectors_are_reported(tmp_path: Path) -> None:
    """A folder without golden messages is named, with the file that is missing."""
    with pytest.raises(InputError, match=r"birth\.json"):
        load_vectors(tmp_path)
