"""The SQL of sites."""

from typing import Final, LiteralString

SITES: Final[LiteralString] = """
select city, site, name, lat, lon, height_m from qytet.site
where (%(city)s::text is null or city = %(city)s)
  and (%(after_city)s::text is null or (city, site) > (%(after_city)s::text, %(after_site)s::text))
order by city, site
limit %(rows)s
"""
