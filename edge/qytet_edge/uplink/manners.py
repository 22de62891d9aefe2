"""How the uplink behaves: what may be in flight, how fast and how patient it is, what a metered link changes."""

from dataclasses import dataclass, field

__all__ = ["Manners", "Metered"]


@dataclass(frozen=True, slots=True)
class Metered:
    """A link that is paid by the byte: nothing goes out live; records wait and leave together as `hist`."""

    interval_s: float = 300.0
    """Longest time that a record waits here while the link stands."""
    records: int = 500
    """So many waiting records end the wait early."""
    keepalive_s: int = 600


@dataclass(frozen=True, slots=True)
class Manners:
    """Everything here is bounded; the defaults suit a Raspberry Pi behind a mobile modem."""

    version: int = 5
    """5, or 3 for MQTT 3.1.1 (a broker that knows no better, such as NATS)."""
    keepalive_s: int = 60
    session_s: int = 7 * 86_400
    """How long the broker keeps commands for an absent gateway (MQTT 5)."""
    window: int = 100
    """Messages without a PUBACK, at most; the broker may ask for fewer (Receive Maximum)."""
    backfill_share: int = 8
    """How many of them may be backfill, so that live records always find room."""
    backfill_rate: float = 2000.0
    """Records a second."""
    backfill_window: int = 8000
    """Backfilled records of one boot without a mark, at most."""
    live_window: int = 20_000
    """Live records of one boot sent since its mark last moved, at most; then they wait in the spool."""
    batch_records: int = 200
    batch_bytes: int = 30_000
    mark_s: tuple[float, float] = (5.0, 300.0)
    """Seconds until what has no mark goes out again: at first, and at most (doubling without progress)."""
    retry_s: tuple[float, float] = (0.5, 60.0)
    """Seconds between attempts to connect: at first, and at most (doubling, jittered)."""
    connect_s: float = 10.0
    """Longest time for TCP, TLS and CONNACK, each."""
    stall_s: float = 45.0
    """Messages in flight and no PUBACK for so long: the connection is given up for dead."""
    farewell_s: float = 3.0
    """Time for the last words."""
    look_s: float = 0.5
    """Longest time between two looks at the spool."""
    metered: Metered | None = field(default=None)

    @property
    def keepalive(self) -> int:
        """Seconds between signs of life, as CONNECT says it."""
        return self.metered.keepalive_s if self.metered else self.keepalive_s
