"""The SQL of observations: one statement for each resolution and direction, so that an index gives the order."""

from typing import Final, LiteralString

__all__ = ["STATEMENTS"]

_RAW: Final[LiteralString] = """
select phenomenon_time, value, quality, time_quality from qytet.observation
where datastream_id = %(id)s
  and phenomenon_time >= coalesce(%(start)s::timestamptz, '-infinity')
  and phenomenon_time < coalesce(%(end)s::timestamptz, 'infinity')
  and phenomenon_time > coalesce(%(after)s::timestamptz, '-infinity')
order by phenomenon_time limit %(rows)s
"""
_RAW_DESC: Final[LiteralString] = """
select phenomenon_time, value, quality, time_quality from qytet.observation
where datastream_id = %(id)s
  and phenomenon_time >= coalesce(%(start)s::timestamptz, '-infinity')
  and phenomenon_time < coalesce(%(end)s::timestamptz, 'infinity')
  and phenomenon_time < coalesce(%(after)s::timestamptz, 'infinity')
order by phenomenon_time desc limit %(rows)s
"""
_QUARTER: Final[LiteralString] = """
select bucket as phenomenon_time, total, n, mean, min, max, sum, first, last from qytet.observation_15min
where datastream_id = %(id)s
  and bucket >= coalesce(%(start)s::timestamptz, '-infinity')
  and bucket < coalesce(%(end)s::timestamptz, 'infinity')
  and bucket > coalesce(%(after)s::timestamptz, '-infinity')
order by bucket limit %(rows)s
"""
_QUARTER_DESC: Final[LiteralString] = """
select bucket as phenomenon_time, total, n, mean, min, max, sum, first, last from qytet.observation_15min
where datastream_id = %(id)s
  and bucket >= coalesce(%(start)s::timestamptz, '-infinity')
  and bucket < coalesce(%(end)s::timestamptz, 'infinity')
  and bucket < coalesce(%(after)s::timestamptz, 'infinity')
order by bucket desc limit %(rows)s
"""
_HOUR: Final[LiteralString] = """
select bucket as phenomenon_time, total, n, mean, min, max, sum, first, last from qytet.observation_hour
where datastream_id = %(id)s
  and bucket >= coalesce(%(start)s::timestamptz, '-infinity')
  and bucket < coalesce(%(end)s::timestamptz, 'infinity')
  and bucket > coalesce(%(after)s::timestamptz, '-infinity')
order by bucket limit %(rows)s
"""
_HOUR_DESC: Final[LiteralString] = """
select bucket as phenomenon_time, total, n, mean, min, max, sum, first, last from qytet.observation_hour
where datastream_id = %(id)s
  and bucket >= coalesce(%(start)s::timestamptz, '-infinity')
  and bucket < coalesce(%(end)s::timestamptz, 'infinity')
  and bucket < coalesce(%(after)s::timestamptz, 'infinity')
order by bucket desc limit %(rows)s
"""
_DAY: Final[LiteralString] = """
select bucket as phenomenon_time, total, n, mean, min, max, sum, first, last from qytet.observation_day
where datastream_id = %(id)s
  and bucket >= coalesce(%(start)s::timestamptz, '-infinity')
  and bucket < coalesce(%(end)s::timestamptz, 'infinity')
  and bucket > coalesce(%(after)s::timestamptz, '-infinity')
order by bucket limit %(rows)s
"""
_DAY_DESC: Final[LiteralString] = """
select bucket as phenomenon_time, total, n, mean, min, max, sum, first, last from qytet.observation_day
where datastream_id = %(id)s
  and bucket >= coalesce(%(start)s::timestamptz, '-infinity')
  and bucket < coalesce(%(end)s::timestamptz, 'infinity')
  and bucket < coalesce(%(after)s::timestamptz, 'infinity')
order by bucket desc limit %(rows)s
"""

STATEMENTS: Final[dict[tuple[str, str], LiteralString]] = {
    ("raw", "asc"): _RAW,
    ("raw", "desc"): _RAW_DESC,
    ("15min", "asc"): _QUARTER,
    ("15min", "desc"): _QUARTER_DESC,
    ("hour", "asc"): _HOUR,
    ("hour", "desc"): _HOUR_DESC,
    ("day", "asc"): _DAY,
    ("day", "desc"): _DAY_DESC,
}
