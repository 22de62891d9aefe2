"""Writing dead letters: raw bytes, reason and origin; the same message again only raises a counter."""

import hashlib
from typing import Any

import psycopg

from qytet_ingest.batch import DeadLetter

__all__ = ["clean", "digest", "write_dead"]

_DEAD = """
insert into store.dead_letter as d (digest, seen, topic, payload, reason, detail, device)
select * from unnest(%(digest)b::bytea[], %(seen)s::bigint[], %(topic)s::text[], %(payload)b::bytea[],
                     %(reason)s::text[], %(detail)s::text[], %(device)s::text[])
on conflict (digest) do update set seen = d.seen + excluded.seen, last_seen = now()
"""


def digest(topic: bytes, payload: bytes) -> bytes:
    """What makes a message the same message."""
    return hashlib.sha256(topic + b"\0" + payload).digest()


def clean(text: str) -> str:
    """Text that PostgreSQL can hold: it knows no zero character."""
    return text.replace("\0", "\ufffd")


def write_dead(connection: psycopg.Connection[Any], letters: list[DeadLetter]) -> None:
    """Keep every letter, equal ones once with their number."""
    if not letters:
        return
    unique: dict[bytes, tuple[DeadLetter, int]] = {}
    for letter in letters:
        key = digest(letter.topic, letter.payload)
        unique[key] = (letter, unique[key][1] + 1 if key in unique else 1)
    found = list(
        unique.items()
    )  # as they came, which is how they will be replayed; each comes to one worker only
    columns = {
        "digest": [key for key, _ in found],
        "seen": [seen for _, (_, seen) in found],
        "topic": [clean(letter.topic.decode(errors="backslashreplace")) for _, (letter, _) in found],
        "payload": [letter.payload for _, (letter, _) in found],
        "reason": [letter.reason for _, (letter, _) in found],
        "detail": [clean(letter.detail) for _, (letter, _) in found],
        "device": [letter.device for _, (letter, _) in found],
    }
    connection.execute(_DEAD, columns)
