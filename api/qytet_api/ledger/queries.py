"""The SQL of the delivery ledger."""

from typing import Final, LiteralString

LEDGER: Final[LiteralString] = """
select device, city, boot, last_seq, stored_mark, received, rejected, dropped, missing, duplicates, late,
       first_seen, last_seen
from qytet.delivery
where (%(city)s::text is null or city = %(city)s)
  and (%(device)s::text is null or device = %(device)s)
  and (%(after_device)s::text is null or (device, boot) > (%(after_device)s::text, %(after_boot)s::text))
order by device, boot
limit %(rows)s
"""
GAPS: Final[LiteralString] = """
select device, city, boot, state, first_seq, last_seq, records, last_seen
from qytet.delivery_gap
where (%(city)s::text is null or city = %(city)s)
  and (%(device)s::text is null or device = %(device)s)
  and (%(boot)s::text is null or boot = %(boot)s)
  and (%(after_device)s::text is null or (device, boot, first_seq)
       > (%(after_device)s::text, %(after_boot)s::text, %(after_seq)s::bigint))
order by device, boot, first_seq
limit %(rows)s
"""
TOTALS: Final[LiteralString] = """
select count(*) as boots, coalesce(sum(received), 0)::bigint as received,
       coalesce(sum(rejected), 0)::bigint as rejected, coalesce(sum(dropped), 0)::bigint as dropped,
       coalesce(sum(missing), 0)::bigint as missing, coalesce(sum(duplicates), 0)::bigint as duplicates,
       coalesce(sum(late), 0)::bigint as late
from qytet.delivery
where (%(city)s::text is null or city = %(city)s)
"""
