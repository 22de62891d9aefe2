"""The SQL of datastreams."""

from typing import Final, LiteralString

DATASTREAMS: Final[LiteralString] = """
select datastream_id, device, city, site, profile, property, channel, key, domain, ucum, agg,
       fail_min, fail_max, suspect_min, suspect_max, valid_from, valid_to
from qytet.datastream
where (%(city)s::text is null or city = %(city)s)
  and (%(device)s::text is null or device = %(device)s)
  and (%(property)s::text is null or property = %(property)s)
  and (%(id)s::integer is null or datastream_id = %(id)s)
  and (%(after)s::bigint is null or datastream_id > %(after)s)
order by datastream_id
limit %(rows)s
"""

# A replaced sensor ends one datastream and begins the next: the newest stands for the key.
NEWEST_OF_KEY: Final[LiteralString] = """
select datastream_id, device, key, property, channel, ucum from qytet.datastream
where device = %(device)s and key = %(key)s
order by valid_from desc nulls last
limit 1
"""
BY_ID: Final[LiteralString] = """
select datastream_id, device, key, property, channel, ucum from qytet.datastream where datastream_id = %(id)s
"""
