-- 15 minutes, hour and civil day as hierarchical continuous aggregates, always complete (real-time).
-- Sums travel up the hierarchy, means do not: a mean of means would weigh a sparse quarter like a full one.
create materialized view store.observation_15min
with (timescaledb.continuous, timescaledb.materialized_only = false) as
select datastream_id,
       time_bucket(interval '15 minutes', phenomenon_time) as bucket,
       count(*) as total,
       count(value) filter (where quality <= 2) as n,
       min(value) filter (where quality <= 2) as min,
       max(value) filter (where quality <= 2) as max,
       sum(value) filter (where quality <= 2) as sum,
       first(value, phenomenon_time) filter (where quality <= 2 and value is not null) as first,
       last(value, phenomenon_time) filter (where quality <= 2 and value is not null) as last
from store.observation group by 1, 2 with no data;

create materialized view store.observation_hour
with (timescaledb.continuous, timescaledb.materialized_only = false) as
select datastream_id, time_bucket(interval '1 hour', bucket) as bucket,
       sum(total) as total, sum(n) as n, min(min) as min, max(max) as max, sum(sum) as sum,
       first(first, bucket) filter (where n > 0) as first, last(last, bucket) filter (where n > 0) as last
from store.observation_15min group by 1, 2 with no data;

create materialized view store.observation_day
with (timescaledb.continuous, timescaledb.materialized_only = false) as
select datastream_id, time_bucket(interval '1 day', bucket, 'Europe/Tirane') as bucket,
       sum(total) as total, sum(n) as n, min(min) as min, max(max) as max, sum(sum) as sum,
       first(first, bucket) filter (where n > 0) as first, last(last, bucket) filter (where n > 0) as last
from store.observation_hour group by 1, 2 with no data;

-- No start: a reading that comes a year late still refreshes its own buckets, and only those.
-- One batch: in batches of few buckets (the default) a late reading reaches hour and day only a round later.
select add_continuous_aggregate_policy('store.observation_15min',
    start_offset => null, end_offset => interval '30 minutes', schedule_interval => interval '5 minutes', buckets_per_batch => 0);
select add_continuous_aggregate_policy('store.observation_hour',
    start_offset => null, end_offset => interval '2 hours', schedule_interval => interval '15 minutes', buckets_per_batch => 0);
select add_continuous_aggregate_policy('store.observation_day',
    start_offset => null, end_offset => interval '2 days', schedule_interval => interval '1 hour', buckets_per_batch => 0);

create view qytet.observation_15min as
select datastream_id, bucket, total, n, sum / nullif(n, 0) as mean, min, max, sum, first, last
from store.observation_15min;
create view qytet.observation_hour as
select datastream_id, bucket, total::bigint as total, n::bigint as n, sum / nullif(n, 0)::double precision as mean,
       min, max, sum, first, last
from store.observation_hour;
create view qytet.observation_day as
select datastream_id, bucket, total::bigint as total, n::bigint as n, sum / nullif(n, 0)::double precision as mean,
       min, max, sum, first, last
from store.observation_day;
