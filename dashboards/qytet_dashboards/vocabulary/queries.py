"""Queries that several dashboards ask of any property; `{property}` and `{value}` are filled by `Panels.of`."""

__all__ = ["HIGHEST", "LOWEST"]

# Twenty lines are the most that an eye tells apart.
HIGHEST = """
select s."time", s.label as metric, s.{value} as value
from qytet.lines(qytet.foremost(:cities, :sites, :devices, :channels, '{property}', 20, false),
:since, :till, :resolution) s order by 1, 2
"""
LOWEST = """
select s."time", s.label as metric, s.{value} as value
from qytet.lines(qytet.foremost(:cities, :sites, :devices, :channels, '{property}', 20, true),
:since, :till, :resolution) s order by 1, 2
"""
