"""The SQL of devices."""

from typing import Final, LiteralString

DEVICES: Final[LiteralString] = """
select device, city, site, site_name, lat, lon, profile, gateway, valid_from, valid_to, state, state_at, boot,
       firmware, board, birth_at, seen_at,
       greatest(extract(epoch from now() - seen_at), 0)::float8 as age_s
from qytet.device
where (%(city)s::text is null or city = %(city)s)
  and (%(site)s::text is null or site = %(site)s)
  and (%(profile)s::text is null or profile = %(profile)s)
  and (%(state)s::text is null or state = %(state)s)
  and (%(device)s::text is null or device = %(device)s)
  and (%(after)s::text is null or device > %(after)s::text)
order by device
limit %(rows)s
"""
