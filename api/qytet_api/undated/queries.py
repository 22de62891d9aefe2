"""The SQL of records without a time."""

from typing import Final, LiteralString

UNDATED: Final[LiteralString] = """
select device, boot, seq, up_ms, m, received_at from qytet.undated
where (%(device)s::text is null or device = %(device)s)
  and (%(after_device)s::text is null or (device, boot, seq)
       > (%(after_device)s::text, %(after_boot)s::text, %(after_seq)s::bigint))
order by device, boot, seq
limit %(rows)s
"""
