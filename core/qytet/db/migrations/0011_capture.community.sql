-- How much of each hour and day was measured: an hour counts where three of its quarters have a good reading (75 %), a
-- day by its hours that count. A continuous aggregate takes no further column: hour and day are made anew from the
-- quarters, which outlive their readings. Until the jobs have run, the server computes them when asked.
drop view qytet.observation_day, qytet.observation_hour;
drop materialized view store.observation_day;
drop materialized view store.observation_hour;

create materialized view store.observation_hour
with (timescaledb.continuous, timescaledb.materialized_only = false) as
select datastream_id, time_bucket(interval '1 hour', bucket) as bucket,
       sum(total) as total, sum(n) as n, min(min) as min, max(max) as max, sum(sum) as sum,
       first(first, bucket) filter (where n > 0) as first, last(last, bucket) filter (where n > 0) as last,
       count(*) filter (where n > 0) as quarters
from store.observation_15min group by 1, 2 with no data;

create materialized view store.observation_day
with (timescaledb.continuous, timescaledb.materialized_only = false) as
select datastream_id, time_bucket(interval '1 day', bucket, 'Europe/Tirane') as bucket,
       sum(total) as total, sum(n) as n, min(min) as min, max(max) as max, sum(sum) as sum,
       first(first, bucket) filter (where n > 0) as first, last(last, bucket) filter (where n > 0) as last,
       count(*) filter (where quarters >= 3) as hours,
       sum(sum / n::double precision) filter (where quarters >= 3) as hour_sum,
       max(sum / n::double precision) filter (where quarters >= 3) as hour_max
from store.observation_hour group by 1, 2 with no data;

select add_continuous_aggregate_policy('store.observation_hour',
    start_offset => null, end_offset => interval '2 hours', schedule_interval => interval '15 minutes', buckets_per_batch => 0);
select add_continuous_aggregate_policy('store.observation_day',
    start_offset => null, end_offset => interval '2 days', schedule_interval => interval '1 hour', buckets_per_batch => 0);

create view qytet.observation_hour as
select datastream_id, bucket, total::bigint as total, n::bigint as n, sum / nullif(n, 0)::double precision as mean,
       min, max, sum, first, last, quarters::integer as quarters
from store.observation_hour;
create view qytet.observation_day as
select datastream_id, bucket, total::bigint as total, n::bigint as n, sum / nullif(n, 0)::double precision as mean,
       min, max, sum, first, last, hours::integer as hours, hour_sum, hour_max
from store.observation_day;
grant select on qytet.observation_hour, qytet.observation_day to qytet_dashboards;
-- How far an aggregate is made, the server tells only to who may read it; where a view is inlined from a function, it
-- asks for the reader. Readers still cannot name anything in the schema store.
grant select on store.observation_15min, store.observation_hour, store.observation_day to qytet_read, qytet_dashboards;

comment on column qytet.observation_hour.quarters is 'Quarters with a good reading; the hour is captured (75 %) from 3.';
comment on column qytet.observation_day.hours is 'Hours that are captured; the day is (75 %) from 18.';
comment on column qytet.observation_day.hour_sum is 'Sum of the captured hours'' means.';
comment on column qytet.observation_day.hour_max is 'Greatest mean of a captured hour.';
