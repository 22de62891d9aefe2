"""Who speaks: the gateway, its own instruments, and the nodes behind it, each under its own topics."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from qytet_contract import topics

__all__ = ["Identity"]


@dataclass(frozen=True)
class Identity:
    """City and name of the gateway; `streams` holds the keys of every device of ours, the gateway's included."""

    city: str
    gateway: str
    firmware: str
    board: str
    streams: Mapping[str, Sequence[str]] = field(default_factory=dict)

    @property
    def devices(self) -> tuple[str, ...]:
        """All that are ours: the gateway first, then its instruments."""
        return (self.gateway, *(device for device in self.streams if device != self.gateway))

    def is_own(self, device: str) -> bool:
        """Whether the gateway or an instrument of ours bears this name; else it is a node behind us."""
        return device == self.gateway or device in self.streams

    def topic(self, device: str, kind: str) -> str:
        """The topic of a device's messages; `kind` may end in an id (`ack/42`)."""
        return topics.topic(self.city, device, kind, gateway="" if device == self.gateway else self.gateway)

    def filters(self) -> list[tuple[str, int]]:
        """The subscriptions with their QoS: a lost mark only costs a resend, a lost command is lost."""
        marks, commands = (topics.STORED, 0), (f"{topics.CMD}/+", 1)
        return [
            (self.topic(device, kind), qos)
            for device in (self.gateway, "+")
            for kind, qos in (marks, commands)
        ]

    def addressee(self, topic: str) -> tuple[str, str, str] | None:
        """Device, kind and id of a message for us; None if it is not for us."""
        found = topics.parse(topic)
        if found is None:
            return None
        city, device, kind, gateway, ident = found
        if city != self.city or (gateway or device) != self.gateway:
            return None
        return device, kind, ident
