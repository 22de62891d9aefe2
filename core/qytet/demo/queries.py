"""The SQL by which a run is called to account: what its oracle expects against what the views hold."""

from typing import Final, LiteralString

__all__ = [
    "COPY_EXPECTED",
    "COUNTS",
    "DEAD_LETTERS",
    "EXAMPLES",
    "EXTRA",
    "LEDGER",
    "MAKE_EXPECTED",
    "MAKE_WANTED",
    "NOW",
]

NOW: Final[LiteralString] = "select clock_timestamp()"

MAKE_EXPECTED: Final[LiteralString] = """
create temporary table expected (device text, key text, t_ms bigint, value double precision)
"""
COPY_EXPECTED: Final[LiteralString] = "copy expected (device, key, t_ms, value) from stdin"

# One row a value that must be there; datastream_id is null where no datastream was in service then.
MAKE_WANTED: Final[LiteralString] = """
create temporary table wanted as
select distinct e.device, e.key, d.datastream_id, e.phenomenon_time, e.value
from (select device, key, value, timestamptz 'epoch' + t_ms * interval '1 millisecond' as phenomenon_time
      from expected) e
left join qytet.datastream d
  on d.device = e.device and d.key = e.key and d.valid_from <= e.phenomenon_time
 and (d.valid_to is null or e.phenomenon_time < d.valid_to)
"""

# Rows with the very value: more than one for a wanted value is a duplicate on tiers whose index allows it.
COUNTS: Final[LiteralString] = """
select count(*) as expected, count(*) filter (where found > 0) as stored,
       coalesce(sum(greatest(found - 1, 0)), 0)::bigint as repeated
from (select (select count(*) from qytet.observation o
              where o.datastream_id = w.datastream_id and o.phenomenon_time = w.phenomenon_time
                and o.value is not distinct from w.value) as found
      from wanted w) counted
"""

# Rows of this run's devices, dated within it, that no record explains.
EXTRA: Final[LiteralString] = """
select count(*) from qytet.observation o
where o.datastream_id in (
    select datastream_id from qytet.datastream where device in (select device from wanted))
  and o.phenomenon_time >= %(since)s and o.phenomenon_time < now()
  and not exists (
    select from wanted w
    where w.datastream_id = o.datastream_id and w.phenomenon_time = o.phenomenon_time
      and w.value is not distinct from o.value)
"""

EXAMPLES: Final[LiteralString] = """
select w.device, w.key, w.phenomenon_time, w.value from wanted w
where not exists (
    select from qytet.observation o
    where o.datastream_id = w.datastream_id and o.phenomenon_time = w.phenomenon_time
      and o.value is not distinct from w.value)
order by w.phenomenon_time, w.device, w.key limit 5
"""

# Boots that began with this run: the ledger knows no other boot of these devices since.
LEDGER: Final[LiteralString] = """
select coalesce(sum(late), 0)::bigint as late, coalesce(sum(duplicates), 0)::bigint as resent,
       coalesce(sum(missing), 0)::bigint as missing
from qytet.delivery
where first_seen >= %(since)s and device in (select device from wanted)
"""

DEAD_LETTERS: Final[LiteralString] = "select count(*) from qytet.dead_letter where last_seen >= %(since)s"
