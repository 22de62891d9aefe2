-- Traffic by lane: a lane is a device's channel with a count, a mean speed and an occupancy for each bin.
-- Density is flow by speed, per lane and km; the level of service follows from it by HCM's bounds of 11, 18, 26, 35 and 45
-- vehicles per mile, which are 7, 11, 16, 22 and 28 per km. They are made for motorways: in a street they say how dense.
create function qytet.los(density double precision) returns smallint language sql immutable parallel safe
return coalesce(1 + width_bucket(density, array[7, 11, 16, 22, 28]::double precision[])
                - (density = any (array[7, 11, 16, 22, 28]::double precision[]))::integer, 0)::smallint;
comment on function qytet.los(double precision) is
    'Level of service 1 (A) to 6 (F) by vehicles per km and lane, a bound belonging to the better level; 0 unknown. HCM.';

-- Nobody passed an empty road, and nobody passes in a standstill: without vehicles only an empty detector says which.
create function qytet.lane_density(count double precision, flow double precision, speed double precision,
                                   occupancy double precision)
returns double precision language sql immutable parallel safe
return case when count = 0 then case when coalesce(occupancy, 0) < 1 then 0 end else flow / nullif(speed, 0) end;
comment on function qytet.lane_density(double precision, double precision, double precision, double precision) is
    'Vehicles per km: flow (1/h) by speed (km/h); 0 on an empty road; null where it is not known.';

-- A lane is known here by the first of its datastreams: numbers join and sort faster than names.
create function qytet.lane_stream(streams integer[])
returns table (datastream_id integer, lane integer, what integer, city text, site text, device text, channel text,
               label text)
language sql stable parallel safe as $$
    select datastream_id, min(datastream_id) over (partition by device, channel),
           array_position(array['vehicle_count', 'vehicle_speed_mean', 'lane_occupancy'], property), city::text, site::text,
           device::text, channel, device || case channel when '' then '' else ' · ' || channel end
    from qytet.datastream where datastream_id = any (streams)
$$;
comment on function qytet.lane_stream(integer[]) is 'These datastreams with their lanes'' numbers and names; what: 1 count, 2 speed, 3 occupancy.';

create function qytet.lanes(streams integer[], since timestamptz, till timestamptz, wanted text)
returns table ("time" timestamptz, city text, site text, device text, channel text, label text, count double precision,
               flow double precision, speed double precision, occupancy double precision, density double precision,
               los smallint)
language plpgsql stable parallel safe
set plan_cache_mode = force_custom_plan set max_parallel_workers_per_gather = 0 set jit = off set work_mem = '16MB' as $$
#variable_conflict use_column
declare
    fit text := qytet.resolution(wanted, since, till);
    length constant interval := case fit when '15min' then '15 minutes' when 'hour' then '1 hour' end;  -- days differ
    newest constant timestamptz := now() - length;
    whole constant double precision := date_part('epoch', length);
begin
    return query with bucket as materialized (
        select s.lane, b."time", sum(b.sum) filter (where s.what = 1) as count,
               avg(b.mean) filter (where s.what = 2) as speed, avg(b.mean) filter (where s.what = 3) as occupancy
        from qytet.buckets(streams, since, till, fit) b join qytet.lane_stream(streams) s using (datastream_id)
        group by 1, 2
    ), bin as (  -- how long a raw bin is, no reading says: the usual distance of two
        select g.lane, percentile_cont(0.5) within group (order by date_part('epoch', g.step)) as s
        from (select b.lane, b."time" - lag(b."time") over (partition by b.lane order by b."time") as step
              from bucket b where fit = 'raw' and b.count is not null) g
        group by 1
    ), timed as (
        select b.*, case when fit = 'raw' then n.s when b."time" < newest then whole
                         else date_part('epoch', least(date_trunc('day', b."time" + interval '36 hours', 'Europe/Tirane'),
                                                       b."time" + length, now()) - b."time") end as seconds
        from bucket b left join bin n on n.lane = b.lane
    ), figure as materialized (
        select t.lane, t."time", t.count, t.count * 3600 / nullif(t.seconds, 0) as flow,
               case when t.count = 0 then null else t.speed end as speed, t.occupancy
        from timed t
    ), lane as materialized (
        select distinct on (s.lane) s.*, dense_rank() over (order by s.label) as place
        from qytet.lane_stream(streams) s order by s.lane
    )
    select f."time", l.city, l.site, l.device, l.channel, l.label, f.count, f.flow, f.speed, f.occupancy, f.density,
           qytet.los(f.density)
    from (select f.*, qytet.lane_density(f.count, f.flow, f.speed, f.occupancy) as density from figure f offset 0) f
    join lane l on l.lane = f.lane
    order by f."time", l.place;
end $$;
comment on function qytet.lanes(integer[], timestamptz, timestamptz, text) is
    'The buckets (raw: the bins) of the lanes with these datastreams: vehicles, flow (1/h, of the time of a bucket that has '
    'passed), mean of the bins'' speeds (km/h, null without a vehicle), occupancy (%), density (1/km), level of service 1 to '
    '6, 0 unknown.';

create function qytet.lane_quarter(streams integer[], till timestamptz)
returns table (lane integer, count double precision, flow double precision, speed double precision,
               occupancy double precision, density double precision)
language sql stable parallel safe as $$
    select q.lane, q.count, f.flow, f.speed, q.occupancy, qytet.lane_density(q.count, f.flow, f.speed, q.occupancy)
    from (
        select b.lane, sum(b.count) as count, avg(b.occupancy) as occupancy,
               coalesce(sum(b.speed * b.count) / nullif(sum(b.count) filter (where b.speed is not null), 0),
                        avg(b.speed) filter (where b.count is null)) as speed
        from (
            select s.lane, o.phenomenon_time, max(o.value) filter (where s.what = 1) as count,
                   max(o.value) filter (where s.what = 2) as speed, max(o.value) filter (where s.what = 3) as occupancy
            from qytet.observation o join qytet.lane_stream(streams) s using (datastream_id)
            where o.datastream_id = any (streams) and o.phenomenon_time >= till - interval '15 minutes'
              and o.phenomenon_time < till and o.value is not null and o.quality <= 2
            group by 1, 2
        ) b group by 1
    ) q
    cross join lateral (select q.count * 4 as flow, case when q.count = 0 then null else q.speed end as speed) f
$$;
comment on function qytet.lane_quarter(integer[], timestamptz) is
    'The lanes of these datastreams in the 15 minutes up to an instant, from their bins: vehicles, flow (1/h), speed weighted '
    'by vehicles (km/h), occupancy (%) and density (1/km).';

create function qytet.densest(cities text[], sites text[], devices text[], channels text[], most integer)
returns integer[] language plpgsql stable parallel safe
set plan_cache_mode = force_custom_plan set max_parallel_workers_per_gather = 0 set jit = off as $$
declare
    streams constant integer[] := qytet.streams(cities, sites, devices, channels,
                                                '{vehicle_count,vehicle_speed_mean,lane_occupancy}');
begin
    return (
        with stream as materialized (
            select s.datastream_id, s.lane, s.label, d.valid_from <= now() and (d.valid_to is null or d.valid_to > now()) as serves
            from qytet.lane_stream(streams) s join qytet.datastream d using (datastream_id)
            where d.datastream_id = any (streams)
        ), chosen as (
            select s.lane from (select distinct lane, label from stream where serves) s
            left join qytet.lane_quarter(streams, date_bin('15 minutes', now(), timestamptz '2000-01-01T00:00Z')) q
                on q.lane = s.lane
            order by qytet.los(q.density) desc, q.flow desc nulls last, s.label limit most
        )
        select coalesce(array_agg(s.datastream_id order by s.datastream_id), '{}')
        from stream s join chosen c on c.lane = s.lane);
end $$;
comment on function qytet.densest(text[], text[], text[], text[], integer) is
    'Ids of the datastreams of so many lanes in service as are densest now (level of service, then flow).';

-- A stuck counter repeats itself, whatever its flags: the last six bins; five minutes of a detector that is never free;
-- three hours of the day without a vehicle.
create function qytet.lane_at(cities text[], sites text[], devices text[], channels text[], at timestamptz)
returns table ("time" timestamptz, city text, site text, device text, channel text, label text, count double precision,
               flow double precision, speed double precision, occupancy double precision, density double precision,
               los smallint, site_name text, lat double precision, lon double precision, stuck smallint,
               age_s double precision)
language plpgsql stable parallel safe
set plan_cache_mode = force_custom_plan set max_parallel_workers_per_gather = 0 set jit = off set work_mem = '16MB' as $$
#variable_conflict use_column
declare
    streams integer[] := qytet.streams(cities, sites, devices, channels,
                                       '{vehicle_count,vehicle_speed_mean,lane_occupancy}');
    till constant timestamptz := date_bin('15 minutes', at, timestamptz '2000-01-01T00:00Z');
begin
    return query with stream as materialized (
        select s.*, z.time_zone, p.name as site_name, p.lat, p.lon
        from qytet.lane_stream(streams) s
        join qytet.datastream d using (datastream_id)
        join qytet.city z on z.city = s.city
        join qytet.site p on p.city = s.city and p.site = s.site
        where d.valid_from <= at and (d.valid_to is null or d.valid_to > at)
    ), reading as materialized (
        select s.lane, s.what, o.phenomenon_time as moment, o.value,
               row_number() over (partition by o.datastream_id order by o.phenomenon_time desc) as back,
               max(o.phenomenon_time) over (partition by o.datastream_id) as newest
        from qytet.observation o join stream s using (datastream_id)
        where o.datastream_id = any (streams) and o.phenomenon_time >= at - interval '3 hours'
          and o.phenomenon_time <= at and o.value is not null
    ), pattern as (
        select r.lane,
               count(*) filter (where r.what = 1 and r.back <= 6) = 6
                   and min(r.value) filter (where r.what = 1 and r.back <= 6) > 0
                   and min(r.value) filter (where r.what = 1 and r.back <= 6)
                     = max(r.value) filter (where r.what = 1 and r.back <= 6) as same,
               min(r.value) filter (where r.what = 3
                                    and r.moment >= r.newest - interval '5 minutes') >= 100 as never_free,
               max(r.value) filter (where r.what = 1) = 0
                   and min(r.moment) filter (where r.what = 1) <= at - interval '165 minutes'
                   and max(r.moment) filter (where r.what = 1) >= at - interval '15 minutes' as nobody
        from reading r group by 1
    ), lane as (
        select distinct on (s.lane) s.*, l.heard,
               (at - interval '3 hours') at time zone s.time_zone >= date_trunc('day', at at time zone s.time_zone)
                                                                    + interval '6 hours'
               and at at time zone s.time_zone <= date_trunc('day', at at time zone s.time_zone) + interval '22 hours'
                   as by_day
        from stream s left join (
            select s.lane, max(t.phenomenon_time) as heard
            from qytet.latest t join stream s using (datastream_id) where t.datastream_id = any (streams) group by 1
        ) l on l.lane = s.lane
        order by s.lane
    )
    select till - interval '15 minutes', l.city, l.site, l.device, l.channel, l.label, q.count, q.flow, q.speed,
           q.occupancy, q.density, qytet.los(q.density), l.site_name, l.lat, l.lon,
           case when p.never_free then 2 when p.same then 1 when p.nobody and l.by_day then 3 else 0 end::smallint,
           extract(epoch from at - l.heard)::double precision
    from lane l
    left join qytet.lane_quarter(streams, till) q on q.lane = l.lane
    left join pattern p on p.lane = l.lane
    order by l.city, l.label;
end $$;
comment on function qytet.lane_at(text[], text[], text[], text[], timestamptz) is
    'qytet.lane_now as of an instant.';

create function qytet.lane_now(cities text[], sites text[], devices text[], channels text[])
returns table ("time" timestamptz, city text, site text, device text, channel text, label text, count double precision,
               flow double precision, speed double precision, occupancy double precision, density double precision,
               los smallint, site_name text, lat double precision, lon double precision, stuck smallint,
               age_s double precision)
language sql stable parallel safe as $$
    select * from qytet.lane_at(cities, sites, devices, channels, now())
$$;
comment on function qytet.lane_now(text[], text[], text[], text[]) is
    'One row a lane in service: the last complete quarter (speed weighted by counts), stuck 0 no, 1 the same count but 0 in '
    'six bins, 2 occupied 100 % for 5 min, 3 no vehicle for 3 h between 06 and 22 local; age_s since its newest reading.';
