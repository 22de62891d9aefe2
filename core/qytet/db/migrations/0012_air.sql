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
create function qytet.air_hour(streams integer[], since timestamptz, till timestamptz, captured integer)
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
    where o.datastream_id = any (streams) and o.bucket >= since and o.bucket < till and o.quarters >= captured
    group by 1, 2
$$;
comment on function qytet.air_hour(integer[], timestamptz, timestamptz, integer) is
    'Hourly means of the index''s pollutants by station, of hours with at least so many quarters measured, in no order.';

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

create function qytet.air_index(cities text[], sites text[], devices text[], since timestamptz, till timestamptz)
returns table ("time" timestamptz, city text, site text, site_name text, device text, lat double precision,
               lon double precision, pm2_5 double precision, pm10 double precision, no2 double precision,
               o3 double precision, so2 double precision, index smallint, worst text)
language plpgsql stable parallel safe
set plan_cache_mode = force_custom_plan set max_parallel_workers_per_gather = 0 set jit = off set work_mem = '16MB' as $$
#variable_conflict use_column
declare
    streams integer[] := qytet.streams(cities, sites, devices, '{*}', '{pm2_5,pm10,no2,o3,so2}');
    first timestamptz := date_trunc('hour', since + interval '1 hour' - interval '1 microsecond', 'UTC');
    beyond timestamptz := least(till, date_trunc('hour', now(), 'UTC'));  -- the running hour is no hour yet
begin
    return query with station as materialized (
        select * from qytet.air_station(streams)
    ), rated as materialized (  -- narrow, and with the rating computed once
        select g."time", s.station, h.pm2_5, h.pm10, h.no2, h.o3, h.so2,
               qytet.air_rating(h.pm2_5, h.pm10, h.no2, h.o3, h.so2, g."time" >= s.o3_since and g."time" < s.o3_till) as r
        from station s
        join generate_series(first, beyond - interval '1 microsecond', interval '1 hour') g ("time")
            on g."time" >= s.since and g."time" < s.till
        left join qytet.air_hour(streams, first, beyond, 3) h on h.station = s.station and h."time" = g."time"
    )
    select r."time", s.city, s.site, s.site_name, s.device, s.lat, s.lon, r.pm2_5, r.pm10, r.no2, r.o3, r.so2,
           (r.r / 8)::smallint, coalesce((array['so2', 'o3', 'no2', 'pm10', 'pm2_5'])[r.r % 8], '')
    from rated r join station s on s.station = r.station
    order by r."time", r.station;
end $$;
comment on function qytet.air_index(text[], text[], text[], timestamptz, timestamptz) is
    'Each full hour of each station in service: means (ug/m3, null under 75 % capture), the index 1 to 6 or 0 for not '
    'enough data, and the pollutant that makes it.';

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
        select h.*, false as provisional from qytet.air_hour(streams, full_hour, running, 3) h
        union all
        select h.*, true from qytet.air_hour(streams, running, now() + interval '1 hour', 1) h
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

-- Days come from the day rollups (civil days of Europe/Tirane). Hours are read only where the greatest hour of a day says
-- that they may exceed a limit, or for the greatest mean over eight hours, which no day knows.
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
    beyond constant timestamptz := date_trunc('day', date_trunc('day', till - interval '1 microsecond', zone)
                                              + interval '36 hours', zone);  -- the end of the last day that begins
    streams integer[] := qytet.streams(cities, sites, devices, '{*}', array(
        select l.property from qytet.air_limit l where l.directive = meant));
    hourly integer[];  -- streams whose hours have to be read, for limits on eight hours
    from_day timestamptz;
begin
    if not exists (select from qytet.air_limit l where l.directive = meant) then
        raise invalid_parameter_value using message = format('No limits of %L are known.', meant),
            hint = 'Say 2024/2881, 2008/50/EC or WHO 2021: qytet.air_limit lists them.';
    end if;
    select array_agg(distinct d.datastream_id), min(o.bucket) into hourly, from_day
    from qytet.observation_day o
    join qytet.datastream d using (datastream_id)
    join qytet.air_limit l on l.directive = meant and l.property = d.property and l.averaging = '8h'
    where o.datastream_id = any (streams) and o.bucket >= begun - interval '36 hours' and o.bucket < till
      and (o.hour_max > l.limit_value or (o.bucket >= since - interval '36 hours' and o.hour_max is not null));
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
    ), hour as materialized (
        select h.series, h.at, avg(h.mean) as mean from (
            select s.series, o.bucket as at, o.mean
            from qytet.observation_hour o join stream s using (datastream_id)
            where o.datastream_id = any (hourly) and o.bucket >= greatest(begun, from_day) - interval '7 hours'
              and o.bucket < beyond and o.quarters >= 3
            union all
            select t.series, o.bucket, o.mean
            from suspect t cross join lateral (
                select o.bucket, o.mean from qytet.observation_hour o
                where o.datastream_id = t.datastream_id and o.bucket >= t.bucket and o.bucket < t.next
                  and o.quarters >= 3 offset 0) o) h  -- a look-up for each, not a join with all hours
        group by 1, 2
    ), eight as (  -- mean of the eight hours that end with the hour `last`; it belongs to the day it ends on
        select w.series, w.last, w.mean from (
            select g.series, g.last, count(g.mean) over eight as n, avg(g.mean) over eight as mean
            from (select e.series, e.last, max(e.mean) as mean from (
                    select h.series, h.at as last, h.mean from hour h
                    union all
                    select h.series, generate_series(min(h.at), max(h.at) + interval '7 hours', interval '1 hour'), null
                    from hour h group by 1) e
                  where e.series in (select w.series from wanted w where w.averaging = '8h') group by 1, 2) g
            window eight as (partition by g.series order by g.last rows 7 preceding)) w
        where w.n >= 6 and w.last < beyond
    ), mean as (  -- every mean that a limit is for, and when it began
        select d.series, 'day' as averaging, d.at, d.at as began, d.mean from day d where d.hours >= 18
        union all
        select h.series, 'hour', h.at, h.at, h.mean from hour h
        union all
        select * from (
            select distinct on (e.series, e.day) e.series, '8h', e.day, e.last - interval '7 hours', e.mean
            from (select *, date_trunc('day', last, zone) as day from eight) e
            order by e.series, e.day, e.mean desc, e.last) greatest_of_day
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
    'the greatest of the day it ends on. year: the mean of the year so far, counted 1 while it is above.';
grant select on qytet.air_band, qytet.air_limit to qytet_dashboards;
