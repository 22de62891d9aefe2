"""Queries that several dashboards ask of any property; `{property}` and `{value}` are filled by `Panels.of`."""

__all__ = ["HIGHEST", "LOWEST"]

# Twenty lines are the most that an eye tells apart: those that matter, by the mean of the time range.
HIGHEST = """
with series as materialized (
select "time", label, {value} as value
from qytet.property_series(:cities, :sites, :devices, :channels, '{property}', :since, :till, :resolution)
), chosen as (
select label from series group by label order by avg(value) desc nulls last, label limit 20
)
select "time", label as metric, value from series join chosen using (label) order by 1, 2
"""
LOWEST = """
with series as materialized (
select "time", label, {value} as value
from qytet.property_series(:cities, :sites, :devices, :channels, '{property}', :since, :till, :resolution)
), chosen as (
select label from series group by label order by avg(value) nulls last, label limit 20
)
select "time", label as metric, value from series join chosen using (label) order by 1, 2
"""
