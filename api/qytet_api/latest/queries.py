"""The SQL of newest readings."""

from typing import Final, LiteralString

LATEST: Final[LiteralString] = """
select datastream_id, city, site, device, profile, domain, property, channel, key, ucum,
       phenomenon_time, value, quality, time_quality,
       extract(epoch from now() - phenomenon_time)::float8 as age_s
from qytet.latest
where (%(city)s::text is null or city = %(city)s)
  and (%(domain)s::text is null or domain = %(domain)s)
  and (%(device)s::text is null or device = %(device)s)
  and (%(after)s::bigint is null or datastream_id > %(after)s)
order by datastream_id
limit %(rows)s
"""
