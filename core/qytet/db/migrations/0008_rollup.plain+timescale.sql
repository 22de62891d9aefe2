-- Rollups for the tiers without background jobs: 15 minutes, hour and civil day, kept as rows up to `until`.
-- What is newer is computed when asked; what comes late is noted by day and computed again (qytet.db.rollup).
create table store.rollup_state (
    one    boolean primary key default true check (one),
    noting timestamptz not null default '-infinity',
    until  timestamptz not null default '-infinity',
    check (until <= noting)
);
insert into store.rollup_state default values;
comment on column store.rollup_state.noting is 'Whoever writes a reading older than this notes its day in store.rollup_late.';
comment on column store.rollup_state.until is 'A full hour: rollups hold what is older, views compute what is not.';

create function store.rollup_noting() returns timestamptz language sql stable as $$
    select nullif(noting, '-infinity') from store.rollup_state
$$;

create table store.rollup_late (
    datastream_id integer not null,
    day           timestamptz not null,
    primary key (datastream_id, day)
);

create table store.rollup_15min (
    datastream_id integer not null,
    bucket        timestamptz not null,
    total         integer not null,
    n             integer not null,
    min           double precision,
    max           double precision,
    sum           double precision,
    first         double precision,
    last          double precision,
    primary key (datastream_id, bucket)
);
create table store.rollup_hour (like store.rollup_15min including all);
create table store.rollup_day (like store.rollup_15min including all);

-- One datastream's readings of [since, till), by quarter; the same terms as in the views below.
create function store.quarters(stream integer, since timestamptz, till timestamptz) returns setof store.rollup_15min
language sql stable parallel safe as $$
    select stream,
           date_bin('15 minutes', phenomenon_time, timestamptz '2000-01-01T00:00Z'),
           count(*)::integer,
           (count(value) filter (where quality <= 2))::integer,
           min(value) filter (where quality <= 2),
           max(value) filter (where quality <= 2),
           sum(value) filter (where quality <= 2),
           (array_agg(value order by phenomenon_time) filter (where quality <= 2 and value is not null))[1],
           (array_agg(value order by phenomenon_time desc) filter (where quality <= 2 and value is not null))[1]
    from store.observation
    where datastream_id = stream and phenomenon_time >= since and phenomenon_time < till
    group by 2
$$;

-- Sums travel up, means do not: a mean of means would weigh a sparse quarter like a full one.
create function store.hours(stream integer, since timestamptz, till timestamptz) returns setof store.rollup_hour
language sql stable parallel safe as $$
    select stream, date_trunc('hour', bucket, 'UTC'), sum(total)::integer, sum(n)::integer, min(min), max(max), sum(sum),
           (array_agg(first order by bucket) filter (where n > 0))[1],
           (array_agg(last order by bucket desc) filter (where n > 0))[1]
    from store.rollup_15min
    where datastream_id = stream and bucket >= since and bucket < till
    group by 2
$$;

create function store.days(stream integer, since timestamptz, till timestamptz) returns setof store.rollup_day
language sql stable parallel safe as $$
    select stream, date_trunc('day', bucket, 'Europe/Tirane'), sum(total)::integer, sum(n)::integer, min(min), max(max),
           sum(sum),
           (array_agg(first order by bucket) filter (where n > 0))[1],
           (array_agg(last order by bucket desc) filter (where n > 0))[1]
    from store.rollup_hour
    where datastream_id = stream and bucket >= since and bucket < till
    group by 2
$$;

-- Bring [until, till) into the rollups of all datastreams and move `until`; till is a full hour. Returns rows made.
create function store.roll(till timestamptz) returns bigint language plpgsql as $$
declare
    since timestamptz := (select until from store.rollup_state for update);
    made bigint; more bigint;
begin
    insert into store.rollup_15min
    select q.* from store.datastream d cross join lateral store.quarters(d.datastream_id, since, till) q
    on conflict do nothing;
    get diagnostics made = row_count;
    insert into store.rollup_hour
    select h.* from store.datastream d cross join lateral store.hours(d.datastream_id, since, till) h
    on conflict do nothing;
    get diagnostics more = row_count;
    insert into store.rollup_day
    select y.* from store.datastream d
    cross join lateral store.days(d.datastream_id, date_trunc('day', since, 'Europe/Tirane'),
                                  date_trunc('day', till, 'Europe/Tirane')) y
    on conflict do nothing;
    update store.rollup_state set until = till;
    return made + more;
end $$;

-- Compute again at most `most` days that readings came late to. Who notes a day that is in hand waits, and notes it anew.
create function store.roll_late(most integer) returns bigint language plpgsql as $$
declare
    edge timestamptz := (select until from store.rollup_state);
    late record; done bigint := 0; next_day timestamptz;
begin
    -- Retention has dropped other readings of such a day: computed again, it would lose them.
    delete from store.rollup_late where day < now() - (select keep from store.retention);
    for late in
        delete from store.rollup_late l using (
            select datastream_id, day from store.rollup_late where day < edge
            order by datastream_id, day limit most for update skip locked) due
        where l.datastream_id = due.datastream_id and l.day = due.day
        returning l.datastream_id, l.day
    loop
        next_day := least(edge, date_trunc('day', late.day + interval '36 hours', 'Europe/Tirane'));
        delete from store.rollup_15min
        where datastream_id = late.datastream_id and bucket >= late.day and bucket < next_day;
        insert into store.rollup_15min select * from store.quarters(late.datastream_id, late.day, next_day);
        delete from store.rollup_hour
        where datastream_id = late.datastream_id and bucket >= late.day and bucket < next_day;
        insert into store.rollup_hour select * from store.hours(late.datastream_id, late.day, next_day);
        if next_day <= date_trunc('day', edge, 'Europe/Tirane') then  -- the day is over
            delete from store.rollup_day where datastream_id = late.datastream_id and bucket = late.day;
            insert into store.rollup_day select * from store.days(late.datastream_id, late.day, next_day);
        end if;
        done := done + 1;
    end loop;
    return done;
end $$;

create or replace view qytet.observation_15min as
select datastream_id, bucket, total::bigint as total, n::bigint as n, sum / nullif(n, 0) as mean, min, max, sum,
       first, last
from store.rollup_15min
where bucket < (select until from store.rollup_state)
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
       first, last
from store.rollup_hour
where bucket < (select until from store.rollup_state)
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
       (array_agg(value order by phenomenon_time desc) filter (where quality <= 2 and value is not null))[1]
from store.observation
where phenomenon_time >= (select until from store.rollup_state)
group by 1, 2;

create or replace view qytet.observation_day as
select datastream_id, bucket, total::bigint as total, n::bigint as n, sum / nullif(n, 0) as mean, min, max, sum,
       first, last
from store.rollup_day
where bucket < (select date_trunc('day', until, 'Europe/Tirane') from store.rollup_state)
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
       (array_agg(last order by bucket desc) filter (where n > 0))[1]
from qytet.observation_hour
where bucket >= (select date_trunc('day', until, 'Europe/Tirane') from store.rollup_state)
group by 1, 2;
