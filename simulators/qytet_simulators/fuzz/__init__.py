"""Malformed messages by the hundred thousand: seeded, distinct, and each certainly refused by the contract.

verdict   whether the contract refuses a message, quickly
seeds     valid messages to spoil, and the golden vectors
text      spoiling bytes: cut, flipped, badly encoded, wrongly written JSON
meaning   spoiling fields: types, ranges, times, keys, structure
fuzzer    the stream of distinct messages
parcel    the same as packets for the fast publisher
"""

from qytet_simulators.fuzz.fuzzer import Fuzzer, Malformed
from qytet_simulators.fuzz.parcel import parcels, recorded
from qytet_simulators.fuzz.seeds import Golden, load_vectors
from qytet_simulators.fuzz.verdict import refusal

__all__ = ["Fuzzer", "Golden", "Malformed", "load_vectors", "parcels", "recorded", "refusal"]
