-- 15 minutes, hour and civil day, computed when asked. Flags above 2 (suspect, fail, missing) stay out.
create view qytet.observation_15min as
select datastream_id,
       date_bin('15 minutes', phenomenon_time, timestamptz '2000-01-01T00:00Z') as bucket,
       count(*) as total,
       count(value) filter (where quality <= 2) as n,
       avg(value) filter (where quality <= 2) as mean,
       min(value) filter (where quality <= 2) as min,
       max(value) filter (where quality <= 2) as max,
       sum(value) filter (where quality <= 2) as sum,
       (array_agg(value order by phenomenon_time) filter (where quality <= 2 and value is not null))[1] as first,
       (array_agg(value order by phenomenon_time desc) filter (where quality <= 2 and value is not null))[1] as last
from store.observation group by 1, 2;

create view qytet.observation_hour as
select datastream_id,
       date_trunc('hour', phenomenon_time, 'UTC') as bucket,
       count(*) as total,
       count(value) filter (where quality <= 2) as n,
       avg(value) filter (where quality <= 2) as mean,
       min(value) filter (where quality <= 2) as min,
       max(value) filter (where quality <= 2) as max,
       sum(value) filter (where quality <= 2) as sum,
       (array_agg(value order by phenomenon_time) filter (where quality <= 2 and value is not null))[1] as first,
       (array_agg(value order by phenomenon_time desc) filter (where quality <= 2 and value is not null))[1] as last
from store.observation group by 1, 2;

create view qytet.observation_day as
select datastream_id,
       date_trunc('day', phenomenon_time, 'Europe/Tirane') as bucket,
       count(*) as total,
       count(value) filter (where quality <= 2) as n,
       avg(value) filter (where quality <= 2) as mean,
       min(value) filter (where quality <= 2) as min,
       max(value) filter (where quality <= 2) as max,
       sum(value) filter (where quality <= 2) as sum,
       (array_agg(value order by phenomenon_time) filter (where quality <= 2 and value is not null))[1] as first,
       (array_agg(value order by phenomenon_time desc) filter (where quality <= 2 and value is not null))[1] as last
from store.observation group by 1, 2;
