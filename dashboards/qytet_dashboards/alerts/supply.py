"""How the rules tell that nothing at all is being stored."""

__all__ = ["OVERDUE"]

# Times the usual pause since the last commit: the usual one is the mean distance of minutes with a commit over a day,
# at least 100 s, so that a city of a few slow devices is not taken for an outage. Null: nothing was ever stored.
OVERDUE = """
select extract(epoch from now() - max(last_commit))::double precision / greatest(300, 3 * (
           select extract(epoch from now() - min(minute))::double precision
                  / nullif(count(distinct minute) filter (where batches > 0), 0)
           from qytet.ingest_minute where minute > now() - interval '24 hours')) as overdue,
       extract(epoch from now() - max(last_commit))::double precision as age_s
from qytet.ingest_minute
"""
