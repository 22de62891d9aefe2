"""Commands on their way to devices: published until the device answers or the command expires.

They travel at QoS 0 and are repeated with patience: the answer is what counts, and a device acts once on an id.
A device that comes up (birth, or the state `ready`) hears at once what waits for it.
"""

import json
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import psycopg

from qytet_contract import VERSION, topics
from qytet_ingest.registry import Device, Registry

__all__ = ["Outbox"]

MOST = 10_000
"""Commands without an answer that are looked at; the oldest first."""
PATIENCE_S = (5, 300)
"""Seconds until a command without an answer goes out again: doubling from the first to the second."""

_OPEN = """
select command_id, device_id, name, args, (extract(epoch from expires_at) * 1000)::bigint,
       expires_at <= now(), coalesce(extract(epoch from now() - sent_at), 'infinity')::float8, sends
from store.command where state in ('waiting', 'sent')
order by asked_at, command_id limit %(limit)s
"""
_EXPIRE = """
update store.command set state = 'expired', answered_at = now()
where command_id = any (%(ids)s) and state in ('waiting', 'sent')
"""
_SENT = """
update store.command set state = 'sent', sent_at = now(), sends = sends + 1
where command_id = any (%(ids)s) and state in ('waiting', 'sent')
"""


class _Open(NamedTuple):
    """A command without an answer; `exp` in Unix milliseconds, `silence_s` since it was last sent."""

    ident: str
    device_id: int
    name: str
    args: dict[str, Any]
    exp: int
    expired: bool
    silence_s: float
    sends: int

    @property
    def due(self) -> bool:
        first, most = PATIENCE_S
        return self.silence_s >= min(most, first << max(0, min(self.sends, 16) - 1))


class Outbox:
    """What one worker has to tell its devices; `publish` sends (topic, payload) and says whether it could."""

    def __init__(self, publish: Callable[[list[tuple[bytes, bytes]]], bool]) -> None:
        self._publish = publish
        self._awake: set[int] = set()

    def awake(self, devices: Iterable[int]) -> None:
        """These devices (ids) have just come up."""
        self._awake.update(devices)

    def send(
        self, connection: psycopg.Connection[Any], registry: Registry, is_mine: Callable[[Device], bool]
    ) -> int:
        """Publish what is due, and end what has expired; returns how many were published."""
        rows = [_Open(*row) for row in connection.execute(_OPEN, {"limit": MOST}).fetchall()]
        known = [row for row in rows if row.device_id in registry.by_id]
        mine = [row for row in known if is_mine(registry.by_id[row.device_id])]
        late = [row.ident for row in mine if row.expired]
        due = [row for row in mine if not row.expired and (row.due or row.device_id in self._awake)]
        if late:
            connection.execute(_EXPIRE, {"ids": late})
        if due and not self._publish([_message(registry.by_id[row.device_id], row) for row in due]):
            return 0
        self._awake.clear()
        if due:
            connection.execute(_SENT, {"ids": [row.ident for row in due]})
        return len(due)


def _message(device: Device, row: _Open) -> tuple[bytes, bytes]:
    topic = topics.topic(device.city, device.name, topics.CMD, gateway=device.gateway or "", ident=row.ident)
    payload = {"v": VERSION, "cmd": row.name, "exp": row.exp, "args": row.args}
    return topic.encode(), json.dumps(payload, ensure_ascii=False, separators=(",", ":")).encode()
