"""The SQL of this service's own state."""

from typing import Final, LiteralString

# What the API reads; a view that is missing means that migrations are not current.
MISSING_VIEWS: Final[LiteralString] = """
select wanted as view from unnest(%(views)s::text[]) as wanted
where to_regclass('qytet.' || wanted) is null or not has_table_privilege('qytet.' || wanted, 'select')
"""
VIEWS = [
    "city",
    "dead_letter",
    "delivery",
    "delivery_gap",
    "datastream",
    "device",
    "latest",
    "observation",
    "observation_15min",
    "observation_day",
    "observation_hour",
    "property",
    "site",
    "undated",
]
