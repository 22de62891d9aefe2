-- The European air quality index. All concentrations are in the catalogue's units: ug/m3, CO mg/m3.
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

grant select on qytet.air_band to qytet_dashboards;
