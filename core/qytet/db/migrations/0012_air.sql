-- The European air quality index and the legal limits. All concentrations are in the catalogue's units: ug/m3, CO mg/m3.
-- An hour's mean counts from 75 % capture, three of four quarters (Directive (EU) 2024/2881, Annex V).
create function qytet.eaqi_bounds(property text) returns double precision[] language sql immutable parallel safe
return case property
    when 'pm2_5' then array[5, 15, 50, 90, 140]::double precision[]
    when 'pm10' then array[15, 45, 120, 195, 270]
    when 'no2' then array[10, 25, 60, 100, 150]
    when 'o3' then array[60, 100, 120, 160, 180]
    when 'so2' then array[20, 40, 125, 190, 275]
end;
comment on function qytet.eaqi_bounds(text) is
    'Upper bounds of the index''s bands 1 to 5 for hourly means, ug/m3. EEA 2024 (ETC HE Report 2024/17).';

create function qytet.eaqi(property text, value double precision) returns smallint language sql immutable parallel safe
return (1 + width_bucket(value, qytet.eaqi_bounds(property)) - (value = any (qytet.eaqi_bounds(property)))::integer)::smallint;
comment on function qytet.eaqi(text, double precision) is
    'The band 1 (good) to 6 (extremely poor) of an hourly mean, a bound belonging to the band below it; null for others.';

create view qytet.air_band as
select property, band::smallint as band, (qytet.eaqi_bounds(property))[band] as hi,
       'EEA, European air quality index, bands of 2024 (ETC HE Report 2024/17)' as source
from unnest(array['pm2_5', 'pm10', 'no2', 'o3', 'so2']) property cross join generate_series(1, 6) band;
comment on view qytet.air_band is 'Bands of the index: above the band before, up to and with `hi` (ug/m3); the last is open.';

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

-- A station is a device, known here by its first datastream: numbers join and sort faster than names.
create function qytet.air_hour(streams integer[], since timestamptz, till timestamptz, running timestamptz)
returns table (station integer, "time" timestamptz, pm2_5 double precision, pm10 double precision,
               no2 double precision, o3 double precision, so2 double precision)
language sql stable parallel safe as $$
    select s.station, o.bucket,
           avg(o.mean) filter (where s.property = 1), avg(o.mean) filter (where s.property = 2),
           avg(o.mean) filter (where s.property = 3), avg(o.mean) filter (where s.property = 4),
           avg(o.mean) filter (where s.property = 5)
    from qytet.observation_hour o
    join (select datastream_id, min(datastream_id) over (partition by device) as station,
                 array_position(array['pm2_5', 'pm10', 'no2', 'o3', 'so2'], property) as property
          from qytet.datastream where datastream_id = any (streams)) s using (datastream_id)
    where o.datastream_id = any (streams) and o.bucket >= since and o.bucket < till
      and (o.quarters >= 3 or o.quarters >= 1 and o.bucket >= running)
    group by 1, 2
$$;
comment on function qytet.air_hour(integer[], timestamptz, timestamptz, timestamptz) is
    'Hourly means of the index''s pollutants by station, in no order: of hours with three quarters measured, or from `running` '
    'on with one.';

create function qytet.air_station(streams integer[])
returns table (station integer, city text, site text, site_name text, device text, lat double precision,
               lon double precision, since timestamptz, till timestamptz, o3_since timestamptz, o3_till timestamptz)
language sql stable parallel safe as $$
    select min(d.datastream_id), d.city::text, d.site::text, s.name, d.device::text, s.lat, s.lon, min(d.valid_from),
           max(coalesce(d.valid_to, 'infinity')), min(d.valid_from) filter (where d.property = 'o3'),
           max(coalesce(d.valid_to, 'infinity')) filter (where d.property = 'o3')
    from qytet.datastream d join qytet.site s on s.city = d.city and s.site = d.site
    where d.datastream_id = any (streams)
    group by d.city, d.site, s.name, d.device, s.lat, s.lon
$$;
comment on function qytet.air_station(integer[]) is
    'The stations of these datastreams, how long they are in service, and how long they have been measuring ozone.';

-- Band and pollutant in one number, which `greatest` can compare: band * 8 + 5 for pm2_5, and so on. 0: not enough data.
create function qytet.air_rating(pm2_5 double precision, pm10 double precision, no2 double precision,
                                 o3 double precision, so2 double precision, o3_needed boolean)
returns integer language sql immutable parallel safe
return case when no2 is null or (pm2_5 is null and pm10 is null) or (o3 is null and o3_needed) then 0
    else greatest(qytet.eaqi('pm2_5', pm2_5) * 8 + 5, qytet.eaqi('pm10', pm10) * 8 + 4, qytet.eaqi('no2', no2) * 8 + 3,
                  qytet.eaqi('o3', o3) * 8 + 2, qytet.eaqi('so2', so2) * 8 + 1) end;
comment on function qytet.air_rating(double precision, double precision, double precision, double precision,
                                     double precision, boolean) is
    'A station''s index: rating / 8; its pollutant: (array[so2, o3, no2, pm10, pm2_5])[rating % 8]. 0 where NO2, particles, or '
    'ozone at a station that measures it, are not there (EEA): never a part that looks good.';

create function qytet.air_rated(streams integer[], first timestamptz, beyond timestamptz)
returns table ("time" timestamptz, station integer, pm2_5 double precision, pm10 double precision,
               no2 double precision, o3 double precision, so2 double precision, rating integer)
language sql stable parallel safe as $$
    select g."time", s.station, h.pm2_5, h.pm10, h.no2, h.o3, h.so2,
           qytet.air_rating(h.pm2_5, h.pm10, h.no2, h.o3, h.so2, g."time" >= s.o3_since and g."time" < s.o3_till)
    from qytet.air_station(streams) s
    join generate_series(first, beyond - interval '1 microsecond', interval '1 hour') g ("time")
        on g."time" >= s.since and g."time" < s.till
    left join qytet.air_hour(streams, first, beyond, beyond) h on h.station = s.station and h."time" = g."time"
$$;
comment on function qytet.air_rated(integer[], timestamptz, timestamptz) is
    'Each hour in [first, beyond), which are full hours, of each station in service: means and qytet.air_rating, in no order.';

create function qytet.air_full_hours(since timestamptz, till timestamptz, out first timestamptz, out beyond timestamptz)
language sql stable parallel safe
return (date_trunc('hour', since + interval '1 hour' - interval '1 microsecond', 'UTC'),
        least(till, date_trunc('hour', now(), 'UTC')));
comment on function qytet.air_full_hours(timestamptz, timestamptz) is
    'The first full hour of [since, till), and where its full hours end: the running hour is no hour yet.';

create function qytet.air_index(cities text[], sites text[], devices text[], since timestamptz, till timestamptz)
returns table ("time" timestamptz, city text, site text, site_name text, device text, lat double precision,
               lon double precision, pm2_5 double precision, pm10 double precision, no2 double precision,
               o3 double precision, so2 double precision, index smallint, worst text)
language plpgsql stable parallel safe
set plan_cache_mode = force_custom_plan set max_parallel_workers_per_gather = 0 set jit = off set work_mem = '16MB' as $$
#variable_conflict use_column
declare
    streams integer[] := qytet.streams(cities, sites, devices, '{*}', '{pm2_5,pm10,no2,o3,so2}');
    first timestamptz; beyond timestamptz;
begin
    select f.first, f.beyond into first, beyond from qytet.air_full_hours(since, till) f;
    return query with rated as materialized (  -- narrow, and with the rating computed once
        select * from qytet.air_rated(streams, first, beyond)
    )
    select r."time", s.city, s.site, s.site_name, s.device, s.lat, s.lon, r.pm2_5, r.pm10, r.no2, r.o3, r.so2,
           (r.rating / 8)::smallint, coalesce((array['so2', 'o3', 'no2', 'pm10', 'pm2_5'])[r.rating % 8], '')
    from rated r join qytet.air_station(streams) s on s.station = r.station
    order by r."time", r.station;
end $$;
comment on function qytet.air_index(text[], text[], text[], timestamptz, timestamptz) is
    'Each full hour of each station in service: means (ug/m3, null under 75 % capture), the index 1 to 6 or 0 for not '
    'enough data, and the pollutant that makes it.';

-- For boards that show nothing but the index: a third of the work is to carry what they do not show.
create function qytet.air_index_line(cities text[], sites text[], devices text[], since timestamptz, till timestamptz)
returns table ("time" timestamptz, line text, index smallint)
language plpgsql stable parallel safe
set plan_cache_mode = force_custom_plan set max_parallel_workers_per_gather = 0 set jit = off set work_mem = '16MB' as $$
#variable_conflict use_column
declare
    streams integer[] := qytet.streams(cities, sites, devices, '{*}', '{pm2_5,pm10,no2,o3,so2}');
    first timestamptz; beyond timestamptz;
begin
    select f.first, f.beyond into first, beyond from qytet.air_full_hours(since, till) f;
    return query with station as materialized (
        select station, site_name || ' · ' || device as line from qytet.air_station(streams)
    ), rated as materialized (
        select r."time", r.station, (r.rating / 8)::smallint as index from qytet.air_rated(streams, first, beyond) r
    )
    select r."time", s.line, r.index from rated r join station s using (station) order by r."time", r.station;
end $$;
comment on function qytet.air_index_line(text[], text[], text[], timestamptz, timestamptz) is
    'The index of qytet.air_index alone, with a line''s name: the site''s and the device''s.';

create function qytet.air_index_now(cities text[], sites text[], devices text[])
returns table ("time" timestamptz, city text, site text, site_name text, device text, lat double precision,
               lon double precision, pm2_5 double precision, pm10 double precision, no2 double precision,
               o3 double precision, so2 double precision, index smallint, worst text, provisional boolean,
               age_s double precision)
language plpgsql stable parallel safe
set plan_cache_mode = force_custom_plan set max_parallel_workers_per_gather = 0 set jit = off set work_mem = '16MB' as $$
#variable_conflict use_column
declare
    streams integer[] := qytet.streams(cities, sites, devices, '{*}', '{pm2_5,pm10,no2,o3,so2}');
    running timestamptz := date_trunc('hour', now(), 'UTC');
    full_hour timestamptz := running - interval '1 hour';
begin
    return query with hour as (
        select h.*, h."time" >= running as provisional
        from qytet.air_hour(streams, full_hour, now() + interval '1 hour', running) h
    ), rated as materialized (
        select s.*, h."time", h.pm2_5, h.pm10, h.no2, h.o3, h.so2, h.provisional,
               qytet.air_rating(h.pm2_5, h.pm10, h.no2, h.o3, h.so2, s.o3_since <= now() and s.o3_till > now()) as r
        from qytet.air_station(streams) s left join hour h on h.station = s.station
        where s.since <= now() and s.till > now()
    ), newest as (
        select distinct on (r.station) r.* from rated r
        order by r.station, r.r > 0 desc, r.provisional
    ), heard as (
        select l.device::text, max(l.phenomenon_time) as at from qytet.latest l
        where l.datastream_id = any (streams) group by 1
    )
    select coalesce(n."time", full_hour), n.city, n.site, n.site_name, n.device, n.lat, n.lon, n.pm2_5, n.pm10, n.no2,
           n.o3, n.so2, (n.r / 8)::smallint, coalesce((array['so2', 'o3', 'no2', 'pm10', 'pm2_5'])[n.r % 8], ''),
           coalesce(n.provisional, false), extract(epoch from now() - e.at)::double precision
    from newest n left join heard e on e.device = n.device
    order by n.city, n.device;
end $$;
comment on function qytet.air_index_now(text[], text[], text[]) is
    'One row a station in service: the index of the last full hour; where that is not enough data, of the running hour''s '
    'means so far (provisional). age_s: since its newest reading of a pollutant, s.';

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
    'civil year of till before till, were above it, and the highest mean and when it began. A day needs 18 hours, eight hours six; 8h is '
    'the greatest that ends on a day, of 18 at least. year: the mean of the year so far, counted 1 while it is above.';
grant select on qytet.air_band, qytet.air_limit, qytet.air_eight to qytet_dashboards;
