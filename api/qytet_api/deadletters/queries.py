"""The SQL of dead letters."""

from typing import Final, LiteralString

DEAD_LETTERS: Final[LiteralString] = """
select dead_letter_id, first_seen, last_seen, seen, topic, octet_length(payload) as payload_bytes, reason, detail,
       device, replayed_at, outcome
from qytet.dead_letter
where (%(reason)s::text is null or reason = %(reason)s)
  and (%(device)s::text is null or device = %(device)s)
  and (%(open)s::boolean is null or (replayed_at is null) = %(open)s)
  and (%(after)s::bigint is null or dead_letter_id < %(after)s)
order by dead_letter_id desc
limit %(rows)s
"""
DEAD_LETTER: Final[LiteralString] = """
select dead_letter_id, first_seen, last_seen, seen, topic, octet_length(payload) as payload_bytes, reason, detail,
       device, replayed_at, outcome, payload
from qytet.dead_letter where dead_letter_id = %(id)s
"""
