"""Queries that several dashboards ask of any property; `{property}` and `{value}` are filled by `Panels.of`."""

__all__ = ["HIGHEST", "LOWEST"]

# Twenty lines are the most that an eye tells apart. They are chosen by their newest reading: to choose by the range,
# the buckets of all would be read.
HIGHEST = """
with chosen as materialized (
select device, channel from qytet.now(:cities, :sites, :devices, :channels, '{property}')
order by value desc nulls last, label limit 20
)
select s."time", s.label as metric, s.{value} as value
from qytet.property_series(:cities, :sites, array(select device from chosen),
array(select case channel when '' then '-' else channel end from chosen), '{property}', :since, :till, :resolution) s
join chosen using (device, channel) order by 1, 2
"""
LOWEST = """
with chosen as materialized (
select device, channel from qytet.now(:cities, :sites, :devices, :channels, '{property}')
order by value nulls last, label limit 20
)
select s."time", s.label as metric, s.{value} as value
from qytet.property_series(:cities, :sites, array(select device from chosen),
array(select case channel when '' then '-' else channel end from chosen), '{property}', :since, :till, :resolution) s
join chosen using (device, channel) order by 1, 2
"""
