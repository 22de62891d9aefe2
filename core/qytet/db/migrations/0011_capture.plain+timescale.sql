-- How much of each hour and day was measured: an hour counts where three of its quarters have a good reading (75 %), a
-- day by its hours that count. Legal means are of such hours, and a month of quarters is too much to count when asked.
alter table store.rollup_hour add column quarters smallint not null default 0;
alter table store.rollup_day add column hours smallint not null default 0;
alter table store.rollup_day add column hour_sum double precision;
alter table store.rollup_day add column hour_max double precision;

create or replace function store.hours(stream integer, since timestamptz, till timestamptz)
returns setof store.rollup_hour language sql stable parallel safe as $$
    select stream, date_trunc('hour', bucket, 'UTC'), sum(total)::integer, sum(n)::integer, min(min), max(max), sum(sum),
           (array_agg(first order by bucket) filter (where n > 0))[1],
           (array_agg(last order by bucket desc) filter (where n > 0))[1],
           (count(*) filter (where n > 0))::smallint
    from store.rollup_15min
    where datastream_id = stream and bucket >= since and bucket < till
    group by 2
$$;

create or replace function store.days(stream integer, since timestamptz, till timestamptz)
returns setof store.rollup_day language sql stable parallel safe as $$
    select stream, date_trunc('day', bucket, 'Europe/Tirane'), sum(total)::integer, sum(n)::integer, min(min), max(max),
           sum(sum),
           (array_agg(first order by bucket) filter (where n > 0))[1],
           (array_agg(last order by bucket desc) filter (where n > 0))[1],
           (count(*) filter (where quarters >= 3))::smallint,
           sum(sum / n) filter (where quarters >= 3),
           max(sum / n) filter (where quarters >= 3)
    from store.rollup_hour
    where datastream_id = stream and bucket >= since and bucket < till
    group by 2
$$;

-- What is rolled up already; written anew in order, since an update would scatter it.
create temporary table hour_before on commit drop as select * from store.rollup_hour;
create temporary table day_before on commit drop as select * from store.rollup_day;
truncate store.rollup_hour, store.rollup_day;
insert into store.rollup_hour
select h.datastream_id, h.bucket, h.total, h.n, h.min, h.max, h.sum, h.first, h.last, coalesce(q.quarters, 0)
from hour_before h
left join (select datastream_id, date_trunc('hour', bucket, 'UTC') as bucket, count(*) as quarters
           from store.rollup_15min where n > 0 group by 1, 2) q using (datastream_id, bucket)
order by h.datastream_id, h.bucket;
insert into store.rollup_day
select d.datastream_id, d.bucket, d.total, d.n, d.min, d.max, d.sum, d.first, d.last, coalesce(q.hours, 0), q.hour_sum,
       q.hour_max
from day_before d
left join (select datastream_id, date_trunc('day', bucket, 'Europe/Tirane') as bucket, count(*) as hours,
                  sum(sum / n) as hour_sum, max(sum / n) as hour_max
           from store.rollup_hour where quarters >= 3 group by 1, 2) q using (datastream_id, bucket)
order by d.datastream_id, d.bucket;

-- The edge is compared within coalesce, since the planner would take it and a reader's bounds for a range that keeps one
-- row in two hundred, and plan for that.
create or replace view qytet.observation_15min as
select datastream_id, bucket, total::bigint as total, n::bigint as n, sum / nullif(n, 0) as mean, min, max, sum,
       first, last
from store.rollup_15min
where coalesce(bucket < (select until from store.rollup_state), false)
union all
select datastream_id,
       date_bin('15 minutes', phenomenon_time, timestamptz '2000-01-01T00:00Z'),
       count(*),
       count(value) filter (where quality <= 2),
       avg(value) filter (where quality <= 2),
       min(value) filter (where quality <= 2),
       max(value) filter (where quality <= 2),
       sum(value) filter (where quality <= 2),
       (array_agg(value order by phenomenon_time) filter (where quality <= 2 and value is not null))[1],
       (array_agg(value order by phenomenon_time desc) filter (where quality <= 2 and value is not null))[1]
from store.observation
where phenomenon_time >= (select until from store.rollup_state)
group by 1, 2;

create or replace view qytet.observation_hour as
select datastream_id, bucket, total::bigint as total, n::bigint as n, sum / nullif(n, 0) as mean, min, max, sum,
       first, last, quarters::integer as quarters
from store.rollup_hour
where coalesce(bucket < (select until from store.rollup_state), false)
union all
select datastream_id,
       date_trunc('hour', phenomenon_time, 'UTC'),
       count(*),
       count(value) filter (where quality <= 2),
       avg(value) filter (where quality <= 2),
       min(value) filter (where quality <= 2),
       max(value) filter (where quality <= 2),
       sum(value) filter (where quality <= 2),
       (array_agg(value order by phenomenon_time) filter (where quality <= 2 and value is not null))[1],
       (array_agg(value order by phenomenon_time desc) filter (where quality <= 2 and value is not null))[1],
       (count(distinct date_bin('15 minutes', phenomenon_time, timestamptz '2000-01-01T00:00Z'))
           filter (where quality <= 2 and value is not null))::integer
from store.observation
where phenomenon_time >= (select until from store.rollup_state)
group by 1, 2;

create or replace view qytet.observation_day as
select datastream_id, bucket, total::bigint as total, n::bigint as n, sum / nullif(n, 0) as mean, min, max, sum,
       first, last, hours::integer as hours, hour_sum, hour_max
from store.rollup_day
where coalesce(bucket < (select date_trunc('day', until, 'Europe/Tirane') from store.rollup_state), false)
union all
select datastream_id,
       date_trunc('day', bucket, 'Europe/Tirane'),
       sum(total)::bigint,
       sum(n)::bigint,
       sum(sum) / nullif(sum(n), 0)::double precision,
       min(min),
       max(max),
       sum(sum),
       (array_agg(first order by bucket) filter (where n > 0))[1],
       (array_agg(last order by bucket desc) filter (where n > 0))[1],
       (count(*) filter (where quarters >= 3))::integer,
       sum(mean) filter (where quarters >= 3),
       max(mean) filter (where quarters >= 3)
from qytet.observation_hour
where bucket >= (select date_trunc('day', until, 'Europe/Tirane') from store.rollup_state)
group by 1, 2;

comment on column qytet.observation_hour.quarters is 'Quarters with a good reading; the hour is captured (75 %) from 3.';
comment on column qytet.observation_day.hours is 'Hours that are captured; the day is (75 %) from 18.';
comment on column qytet.observation_day.hour_sum is 'Sum of the captured hours'' means.';
comment on column qytet.observation_day.hour_max is 'Greatest mean of a captured hour.';
