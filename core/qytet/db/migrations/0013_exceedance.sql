-- The legal limits of the air, and how often they were exceeded. An hour counts from 75 % capture, as for the index.
create view qytet.air_limit as
select property, averaging, limit_value::double precision as limit_value, allowed, directive, source
from (values
    ('pm2_5', 'day', 25, 18, '2024/2881', 'Annex I, from 1 January 2030'),
    ('pm2_5', 'year', 10, null, '2024/2881', 'Annex I, from 1 January 2030'),
    ('pm10', 'day', 45, 18, '2024/2881', 'Annex I, from 1 January 2030'),
    ('pm10', 'year', 20, null, '2024/2881', 'Annex I, from 1 January 2030'),
    ('no2', 'hour', 200, 3, '2024/2881', 'Annex I, from 1 January 2030'),
    ('no2', 'day', 50, 18, '2024/2881', 'Annex I, from 1 January 2030'),
    ('no2', 'year', 20, null, '2024/2881', 'Annex I, from 1 January 2030'),
    ('so2', 'hour', 350, 3, '2024/2881', 'Annex I, from 1 January 2030'),
    ('so2', 'day', 50, 18, '2024/2881', 'Annex I, from 1 January 2030'),
    ('so2', 'year', 20, null, '2024/2881', 'Annex I, from 1 January 2030'),
    ('o3', '8h', 120, 18, '2024/2881', 'Annex I, target value; days are a mean over three years'),
    ('co', '8h', 10, 0, '2024/2881', 'Annex I, from 1 January 2030'),
    ('co', 'day', 4, 18, '2024/2881', 'Annex I, from 1 January 2030'),
    ('pm2_5', 'year', 25, null, '2008/50/EC', 'Annex XIV'),
    ('pm10', 'day', 50, 35, '2008/50/EC', 'Annex XI'),
    ('pm10', 'year', 40, null, '2008/50/EC', 'Annex XI'),
    ('no2', 'hour', 200, 18, '2008/50/EC', 'Annex XI'),
    ('no2', 'year', 40, null, '2008/50/EC', 'Annex XI'),
    ('so2', 'hour', 350, 24, '2008/50/EC', 'Annex XI'),
    ('so2', 'day', 125, 3, '2008/50/EC', 'Annex XI'),
    ('o3', '8h', 120, 25, '2008/50/EC', 'Annex VII, target value; days are a mean over three years'),
    ('co', '8h', 10, 0, '2008/50/EC', 'Annex XI'),
    ('pm2_5', 'day', 15, 3, 'WHO 2021', 'Table 0.1, 99th percentile: 3 to 4 days a year'),
    ('pm2_5', 'year', 5, null, 'WHO 2021', 'Table 0.1'),
    ('pm10', 'day', 45, 3, 'WHO 2021', 'Table 0.1, 99th percentile: 3 to 4 days a year'),
    ('pm10', 'year', 15, null, 'WHO 2021', 'Table 0.1'),
    ('no2', 'hour', 200, null, 'WHO 2021', 'Table 0.2'),
    ('no2', 'day', 25, 3, 'WHO 2021', 'Table 0.1, 99th percentile: 3 to 4 days a year'),
    ('no2', 'year', 10, null, 'WHO 2021', 'Table 0.1'),
    ('so2', 'day', 40, 3, 'WHO 2021', 'Table 0.1, 99th percentile: 3 to 4 days a year'),
    ('o3', '8h', 100, 3, 'WHO 2021', 'Table 0.1, 99th percentile: 3 to 4 days a year'),
    ('co', 'hour', 35, null, 'WHO 2021', 'Table 0.2'),
    ('co', '8h', 10, null, 'WHO 2021', 'Table 0.2'),
    ('co', 'day', 4, 3, 'WHO 2021', 'Table 0.1, 99th percentile: 3 to 4 days a year')
) as limits (property, averaging, limit_value, allowed, directive, source);
comment on view qytet.air_limit is
    'Limits on means over averaging hour, day, 8h (greatest of a day) or year, ug/m3 (CO mg/m3); allowed is how often in a '
    'civil year, null where nothing is said. Directives 2024/2881, 2008/50/EC and WHO 2021.';

-- Eight hours run over midnight, which no rollup does: the greatest mean of each day is kept in a table of its own. A row
-- says of how many good readings it was made; readings are only ever added, so if their number is what it was, it stands.
create table store.air_eight (
    series integer not null,
    day    timestamptz not null,
    n      bigint not null,
    mean   double precision,
    began  timestamptz,
    primary key (series, day)
);
create view qytet.air_eight as select series, day, n, mean, began from store.air_eight;
comment on view qytet.air_eight is
    'The greatest mean of eight hours that end on a civil day of Europe/Tirane, and when they began (null: fewer than 18 such '
    'means have six of their hours), of a device''s property, known by its first datastream; n: good readings of the day and '
    'the day before.';

create function qytet.eight_hours(of_series integer[], of_days timestamptz[])
returns table (series integer, day timestamptz, mean double precision, began timestamptz)
language plpgsql stable parallel safe
set plan_cache_mode = force_custom_plan set max_parallel_workers_per_gather = 0 set jit = off set work_mem = '16MB'
set enable_nestloop = off as $$
#variable_conflict use_column
declare
    streams constant integer[] := array(
        select o.datastream_id from qytet.datastream d join qytet.datastream o using (device, property)
        where d.datastream_id = any (of_series));
    hours constant timestamptz[] := array(
        select distinct h from unnest(of_days) d
        cross join generate_series(d - interval '7 hours', date_trunc('day', d + interval '36 hours', 'Europe/Tirane')
                                   - interval '1 hour', interval '1 hour') h);
begin
    return query with stream as (
        select d.datastream_id, min(d.datastream_id) over (partition by d.device, d.property) as series
        from qytet.datastream d where d.datastream_id = any (streams)
    ), hour as materialized (
        select s.series, o.bucket as at, avg(o.mean) as mean
        from qytet.observation_hour o join stream s using (datastream_id)
        where o.datastream_id = any (streams) and o.bucket = any (hours) and o.quarters >= 3
        group by 1, 2
    ), known as materialized (
        select h.*, lead(h.at) over (partition by h.series order by h.at) as next from hour h
    ), ended as (  -- one or two hours that are not known can end eight of which six are
        select k.series, k.at as last, k.mean from known k
        union all
        select k.series, k.at + g, null
        from known k cross join (values (interval '1 hour'), (interval '2 hours')) missing (g)
        where k.next is null or k.next > k.at + g
    ), eight as materialized (
        select e.series, e.last, count(e.mean) over eight as n, avg(e.mean) over eight as mean
        from ended e
        window eight as (partition by e.series order by e.last
                         range between interval '7 hours' preceding and current row)
    ), clock as (
        select h as last, date_trunc('day', h, 'Europe/Tirane') as day from unnest(hours) h
    )
    select w.series, w.day, m.mean, m.last - interval '7 hours'
    from unnest(of_series, of_days) w (series, day)
    left join (
        select distinct on (e.series, c.day) e.series, c.day, e.mean, e.last,
               count(*) over (partition by e.series, c.day) as known
        from eight e join clock c on c.last = e.last
        where e.n >= 6 order by e.series, c.day, e.mean desc, e.last) m
        on m.series = w.series and m.day = w.day and m.known >= 18;  -- 75 % of 24 (2008/50/EC, Annex VII)
end $$;
comment on function qytet.eight_hours(integer[], timestamptz[]) is
    'For each pair of a series and a day what qytet.air_eight keeps of it, computed now.';

-- Days that have something to end eight hours with: those with readings, and the days after.
create function qytet.air_eight_day(streams integer[], since timestamptz, till timestamptz)
returns table (series integer, day timestamptz, n bigint)
language sql stable parallel safe as $$
    select g.series, g.day, sum(g.n)::bigint
    from (
        select s.series, unnest(array[o.bucket, date_trunc('day', o.bucket + interval '36 hours', 'Europe/Tirane')]) as day,
               o.n
        from qytet.observation_day o
        join (select d.datastream_id, min(d.datastream_id) over (partition by d.device, d.property) as series
              from qytet.datastream d where d.datastream_id = any (streams)) s using (datastream_id)
        where o.datastream_id = any (streams) and o.bucket >= since - interval '36 hours' and o.bucket < till and o.n > 0
    ) g
    where g.day >= since and g.day < till group by 1, 2
$$;
comment on function qytet.air_eight_day(integer[], timestamptz, timestamptz) is
    'Days that begin in [since, till) with good readings on them or the day before, and how many.';

-- Bring at most `most` days of series up to date that are over and whose number of readings is not what it was.
create function store.keep_eights(most integer) returns bigint language plpgsql
set plan_cache_mode = force_custom_plan set jit = off as $$
declare
    streams constant integer[] := qytet.streams('{*}', '{*}', '{*}', '{*}', array(
        select property from qytet.air_limit where averaging = '8h'));
    today constant timestamptz := date_trunc('day', now(), 'Europe/Tirane');
    firsts integer[]; days timestamptz[]; ns bigint[];
    made bigint;
begin
    select array_agg(d.series), array_agg(d.day), array_agg(d.n) into firsts, days, ns
    from (
        select d.* from qytet.air_eight_day(streams, today - interval '400 days', today) d
        left join store.air_eight e on e.series = d.series and e.day = d.day
        where e.n is distinct from d.n order by d.day desc, d.series limit most) d;
    insert into store.air_eight
    select e.series, e.day, k.n, e.mean, e.began
    from qytet.eight_hours(firsts, days) e join unnest(firsts, days, ns) k (series, day, n) using (series, day)
    order by 1, 2
    on conflict (series, day) do update set n = excluded.n, mean = excluded.mean, began = excluded.began;
    get diagnostics made = row_count;
    return made;
end $$;

-- Days come from the day rollups (civil days of Europe/Tirane). Hours are read only where the greatest hour of a day says
-- that they may exceed a limit, and for means over eight hours that are not kept yet.
create function qytet.air_exceedance(cities text[], sites text[], devices text[], since timestamptz, till timestamptz,
                                     directive text)
returns table (city text, site text, device text, property text, averaging text, limit_value double precision,
               allowed integer, exceeded bigint, this_year bigint, highest double precision, "time" timestamptz)
language plpgsql stable parallel safe
set plan_cache_mode = force_custom_plan set max_parallel_workers_per_gather = 0 set jit = off set work_mem = '16MB'
set enable_nestloop = off as $$
#variable_conflict use_column
declare
    zone constant text := 'Europe/Tirane';
    meant constant text := directive;
    year constant timestamptz := date_trunc('year', till - interval '1 microsecond', zone);
    begun constant timestamptz := least(year, since);
    streams integer[] := qytet.streams(cities, sites, devices, '{*}', array(
        select l.property from qytet.air_limit l where l.directive = meant));
    eights integer[] := qytet.streams(cities, sites, devices, '{*}', array(
        select l.property from qytet.air_limit l where l.directive = meant and l.averaging = '8h'));
    kept integer[]; kept_days timestamptz[]; means double precision[]; begins timestamptz[];
    stale integer[]; stale_days timestamptz[];
begin
    if not exists (select from qytet.air_limit l where l.directive = meant) then
        raise invalid_parameter_value using message = format('No limits of %L are known.', meant),
            hint = 'Say 2024/2881, 2008/50/EC or WHO 2021: qytet.air_limit lists them.';
    end if;
    select array_agg(e.series) filter (where e.n = d.n), array_agg(e.day) filter (where e.n = d.n),
           array_agg(e.mean) filter (where e.n = d.n), array_agg(e.began) filter (where e.n = d.n),
           array_agg(d.series) filter (where e.n is distinct from d.n),
           array_agg(d.day) filter (where e.n is distinct from d.n)
    into kept, kept_days, means, begins, stale, stale_days
    from qytet.air_eight_day(eights, begun, till) d
    left join qytet.air_eight e on e.series = d.series and e.day = d.day;
    return query with stream as (
        select d.datastream_id, d.city::text, d.site::text, d.device::text, d.property,
               min(d.datastream_id) over (partition by d.device, d.property) as series
        from qytet.datastream d where d.datastream_id = any (streams)
    ), series as (
        select distinct s.series, s.city, s.site, s.device, s.property from stream s
    ), wanted as (
        select s.*, l.averaging, l.limit_value, l.allowed
        from series s join qytet.air_limit l on l.directive = meant and l.property = s.property
    ), daily as materialized (
        select s.series, s.property, o.*
        from qytet.observation_day o join stream s using (datastream_id)
        where o.datastream_id = any (streams) and o.bucket >= begun and o.bucket < till
    ), day as materialized (
        select d.series, d.bucket as at, sum(d.hour_sum) / nullif(sum(d.hours), 0) as mean, sum(d.hours) as hours,
               sum(d.hour_sum) as hour_sum
        from daily d group by 1, 2
    ), suspect as (  -- days above a limit on an hour, and the day of the greatest hour
        select d.datastream_id, d.series, d.bucket, date_trunc('day', d.bucket + interval '36 hours', zone) as next
        from (select y.*, rank() over (partition by y.series, y.bucket >= since order by y.hour_max desc) as place
              from daily y where y.hour_max is not null) d
        join wanted w on w.series = d.series and w.averaging = 'hour'
        where d.hour_max > w.limit_value or (d.place = 1 and d.bucket >= since)
    ), hour as (
        select t.series, o.bucket as at, avg(o.mean) as mean
        from suspect t cross join lateral (
            select o.bucket, o.mean from qytet.observation_hour o
            where o.datastream_id = t.datastream_id and o.bucket >= t.bucket and o.bucket < t.next
              and o.quarters >= 3 offset 0) o  -- a look-up for each, not a join with all hours
        group by 1, 2
    ), mean as (  -- every mean that a limit is for, and when it began
        select d.series, 'day' as averaging, d.at, d.at as began, d.mean from day d where d.hours >= 18
        union all
        select h.series, 'hour', h.at, h.at, h.mean from hour h
        union all
        select k.series, '8h', k.day, k.began, k.mean
        from unnest(kept, kept_days, means, begins) k (series, day, mean, began) where k.mean is not null
        union all
        select e.series, '8h', e.day, e.began, e.mean from qytet.eight_hours(stale, stale_days) e where e.mean is not null
    ), counted as (
        select w.series, w.averaging,
               count(*) filter (where m.mean > w.limit_value and m.at >= since) as exceeded,
               count(*) filter (where m.mean > w.limit_value and m.at >= year) as this_year,
               (array_agg(m.mean order by m.mean desc, m.at) filter (where m.at >= since))[1] as highest,
               (array_agg(m.began order by m.mean desc, m.at) filter (where m.at >= since))[1] as began
        from wanted w join mean m on m.series = w.series and m.averaging = w.averaging and m.at < till
        group by 1, 2
        union all
        select w.series, w.averaging, n.over, n.over, n.mean, year
        from wanted w
        join (select d.series, sum(d.hour_sum) / nullif(sum(d.hours), 0) as mean from day d where d.at >= year group by 1)
            y on y.series = w.series
        cross join lateral (select y.mean, (y.mean > w.limit_value)::integer::bigint as over) n
        where w.averaging = 'year' and n.mean is not null
    )
    select w.city, w.site, w.device, w.property, w.averaging, w.limit_value, w.allowed, coalesce(c.exceeded, 0),
           coalesce(c.this_year, 0), c.highest, c.began
    from wanted w left join counted c on c.series = w.series and c.averaging = w.averaging
    order by w.city, w.device, w.property, w.averaging;
end $$;
comment on function qytet.air_exceedance(text[], text[], text[], timestamptz, timestamptz, text) is
    'Each station, pollutant and limit of a directive: how many hours or whole days that begin in [since, till), and in the '
    'civil year of till before till, were above it, and the highest mean and when it began. A day needs 18 hours, eight hours '
    'six; 8h is the greatest that ends on a day, of 18 at least. year: the mean of the year so far, counted 1 while it is above.';
grant select on qytet.air_limit, qytet.air_eight to qytet_dashboards;
