"""Malformed messages as packets for the fast publisher: sent once each, with no mark to wait for."""

import time
from collections.abc import Iterable, Iterator

from qytet_simulators.device import wire
from qytet_simulators.device.load import Parcel
from qytet_simulators.faults import SendGarbage
from qytet_simulators.fuzz.fuzzer import Malformed
from qytet_simulators.oracle import OracleWriter

__all__ = ["parcels", "recorded"]


def recorded(messages: Iterable[Malformed], oracle: OracleWriter | None) -> Iterator[Malformed]:
    """The same messages, each written to the oracle as it passes."""
    for message in messages:
        if oracle:
            now_ms = int(time.time() * 1000)
            oracle.garbage(SendGarbage(message.device, message.kind, message.payload, now_ms), now_ms)
        yield message


def parcels(messages: Iterable[Malformed], connections: int = 1, name: str = "fuzz") -> list[Parcel]:
    """Deal messages out to connections; `flood` takes the result."""
    packets: list[list[bytes]] = [[] for _ in range(connections)]
    for number, message in enumerate(messages):
        own = packets[number % connections]
        own.append(wire.publish(message.topic.encode(), message.payload, len(own) % wire.MOST_IDS + 1))
    return [Parcel(name=name, packets=own) for own in packets if own]
