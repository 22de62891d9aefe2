-- 15 minutes, hour and civil day, computed when asked: continuous aggregates need the Community edition.
create view qytet.observation_15min as
select datastream_id,
       time_bucket(interval '15 minutes', phenomenon_time) as bucket,
       count(*) as total,
       count(value) filter (where quality <= 2) as n,
       avg(value) filter (where quality <= 2) as mean,
       min(value) filter (where quality <= 2) as min,
       max(value) filter (where quality <= 2) as max,
       sum(value) filter (where quality <= 2) as sum,
       first(value, phenomenon_time) filter (where quality <= 2 and value is not null) as first,
       last(value, phenomenon_time) filter (where quality <= 2 and value is not null) as last
from store.observation group by 1, 2;

create view qytet.observation_hour as
select datastream_id,
       time_bucket(interval '1 hour', phenomenon_time) as bucket,
       count(*) as total,
       count(value) filter (where quality <= 2) as n,
       avg(value) filter (where quality <= 2) as mean,
       min(value) filter (where quality <= 2) as min,
       max(value) filter (where quality <= 2) as max,
       sum(value) filter (where quality <= 2) as sum,
       first(value, phenomenon_time) filter (where quality <= 2 and value is not null) as first,
       last(value, phenomenon_time) filter (where quality <= 2 and value is not null) as last
from store.observation group by 1, 2;

create view qytet.observation_day as
select datastream_id,
       time_bucket(interval '1 day', phenomenon_time, 'Europe/Tirane') as bucket,
       count(*) as total,
       count(value) filter (where quality <= 2) as n,
       avg(value) filter (where quality <= 2) as mean,
       min(value) filter (where quality <= 2) as min,
       max(value) filter (where quality <= 2) as max,
       sum(value) filter (where quality <= 2) as sum,
       first(value, phenomenon_time) filter (where quality <= 2 and value is not null) as first,
       last(value, phenomenon_time) filter (where quality <= 2 and value is not null) as last
from store.observation group by 1, 2;
