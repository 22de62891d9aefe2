"""Reading dead letters and trying them again, by the same path that live messages take."""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import psycopg

from qytet_contract import codes
from qytet_ingest.batch import Batch
from qytet_ingest.boots import Boots
from qytet_ingest.checked import Checked
from qytet_ingest.registry import Device, Registry
from qytet_ingest.write import settle, write

__all__ = ["Choice", "Outcome", "Replayer", "count_open"]


@dataclass(frozen=True, slots=True)
class Choice:
    """Which letters: open ones (never replayed with success), narrowed by what is not None, numbered above `after`."""

    ident: int | None = None
    device: str | None = None
    reason: str | None = None
    after: int = 0


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of one letter: `stored` readings, or the `reason` that still stands."""

    ident: int
    stored: int
    reason: str
    detail: str


_COUNT = """
select count(*) from store.dead_letter
where replayed_at is null and reason <> 'collision'
  and (%(ident)s::bigint is null or dead_letter_id = %(ident)s)
  and (%(device)s::text is null or device = %(device)s)
  and (%(reason)s::text is null or reason = %(reason)s)
"""
_PAGE = """
select dead_letter_id, topic, payload from store.dead_letter
where replayed_at is null and reason <> 'collision' and dead_letter_id > %(after)s
  and (%(ident)s::bigint is null or dead_letter_id = %(ident)s)
  and (%(device)s::text is null or device = %(device)s)
  and (%(reason)s::text is null or reason = %(reason)s)
order by dead_letter_id limit %(limit)s for update skip locked
"""
_STORED = (
    "update store.dead_letter set replayed_at = now(), outcome = %(outcome)s where dead_letter_id = %(ident)s"
)
_REFUSED = """
update store.dead_letter set reason = %(reason)s, detail = %(detail)s, outcome = %(outcome)s
where dead_letter_id = %(ident)s
"""


def count_open(connection: psycopg.Connection[Any], choice: Choice) -> int:
    """How many letters the choice finds."""
    row = connection.execute(_COUNT, _parameters(choice)).fetchone()
    return int(row[0]) if row else 0


def _parameters(choice: Choice) -> dict[str, Any]:
    return {"ident": choice.ident, "device": choice.device, "reason": choice.reason}


class Replayer:
    """Tries letters again, each in a transaction of its own. A collision stands: there the first record won."""

    def __init__(self, connection: psycopg.Connection[Any], registry: Registry, checked: Checked) -> None:
        self._connection = connection
        self._registry = registry
        self._checked = checked

    @classmethod
    def alone(cls, connection: psycopg.Connection[Any], ahead_ms: int) -> "Replayer":
        """A replayer for a program that is not a worker; a worker that runs meanwhile is not disturbed."""
        registry, boots = Registry.load(connection, (0, 1)), Boots()
        boots.load(connection, registry)

        def refuse(_device: Device, _keys: list[str]) -> None:
            """A birth among dead letters is an old one: it registers nothing."""

        checked = Checked(
            registry,
            city="",
            find_boot=lambda device, boot: boots.find(connection, registry, device, boot),
            announce=refuse,
            ahead_ms=ahead_ms,
        )
        return cls(connection, registry, checked)

    def replay(self, choice: Choice, limit: int | None = None) -> Iterator[Outcome]:
        """Try the chosen letters in order of arrival, at most `limit`."""
        after, left = choice.after, limit
        while left is None or left > 0:
            outcome = self._next(choice, after)
            if outcome is None:
                return
            after = outcome.ident
            left = None if left is None else left - 1
            yield outcome

    def _next(self, choice: Choice, after: int) -> Outcome | None:
        """Try one letter; if its transaction fails, the ledger's memory forgets it again."""
        batch = Batch()
        try:
            with self._connection.transaction():
                found = self._connection.execute(
                    _PAGE, {**_parameters(choice), "after": after, "limit": 1}
                ).fetchone()
                if found is None:
                    return None
                outcome = self._try(batch, *found)
                self._note(outcome)
        except BaseException:
            for boot in batch.boots:
                boot.undo()
            raise
        settle(batch)
        return outcome

    def _try(self, batch: Batch, ident: int, topic: str, payload: bytes) -> Outcome:
        """Judge one letter again and store what can be stored."""
        name = topic.encode()
        batch.messages.append((name, payload))
        self._checked.take(batch, 0, self._checked.route(name), int(time.time() * 1000))
        still, batch.dead = batch.dead, []
        rows = write(self._connection, batch, self._registry)
        still += batch.dead
        waiting = len(batch.undated)
        if still:
            return Outcome(ident, len(rows), still[0].reason, still[0].detail)
        return Outcome(ident, len(rows), "", f"{waiting} records wait for a time" if waiting else "")

    def _note(self, outcome: Outcome) -> None:
        values = {"ident": outcome.ident, "reason": outcome.reason, "detail": outcome.detail}
        if outcome.reason and outcome.reason != codes.COLLISION:
            text = f"tried again: {outcome.reason}; {outcome.stored} readings stored"
            self._connection.execute(_REFUSED, {**values, "outcome": text})
            return
        text = f"{outcome.stored} readings stored; {outcome.reason or outcome.detail}".rstrip("; ")
        self._connection.execute(_STORED, {**values, "outcome": text})
