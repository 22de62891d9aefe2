"""The SQL of what changes in a city."""

from typing import Final, LiteralString

LATEST: Final[LiteralString] = """
select datastream_id, site, device, profile, domain, property, channel, key, ucum, phenomenon_time, value, quality,
       time_quality
from qytet.latest where city = %(city)s
"""
# The same rule as in the count of a city's silent devices.
DEVICES: Final[LiteralString] = """
select device, site, site_name, profile, state,
       not (coalesce(seen_at > now() - interval '45 minutes', false) and state in ('ready', 'sleeping')) as silent
from qytet.device where city = %(city)s
"""
