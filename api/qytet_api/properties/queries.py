"""The SQL of observed properties."""

from typing import Final, LiteralString

PROPERTIES: Final[LiteralString] = """
select property, domain, ucum, fail_min, fail_max, suspect_min, suspect_max, agg, sampling, core, sdm, cf_name,
       reference
from qytet.property
where (%(domain)s::text is null or domain = %(domain)s)
order by domain, property
"""
