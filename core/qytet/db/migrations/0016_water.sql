-- Water: the least flow of the night, which leaks raise; limits of quality; volumes by day; tanks.
create view qytet.water_limit (property, low, high, source) as values
    ('water_ph', 6.5::double precision, 9.5::double precision, 'Directive (EU) 2020/2184, Annex I C'),
    ('water_conductivity', null, 2500, 'Directive (EU) 2020/2184, Annex I C (at 20 Cel)'),
    ('water_turbidity', null, 1, 'Directive (EU) 2020/2184, Annex II (at the plant)'),
    ('water_free_chlorine', 0.2, 5, 'WHO, Guidelines for drinking-water quality (0.2 at the tap, guideline value 5)'),
    ('water_pressure', 1, null, 'operating practice: under 1 bar supply is not assured');
comment on view qytet.water_limit is
    'Limits of a property in its own unit: low and high themselves are allowed, null is no limit; and where they come from.';

-- Nights are civil ones: at the change of the clock 02:00 to 04:00 is one hour long, or three.
create function qytet.night_flow(cities text[], sites text[], devices text[], since timestamptz, till timestamptz)
returns table ("time" timestamptz, city text, site text, device text, label text, night_flow double precision,
               mean_flow double precision, baseline double precision, ratio double precision,
               pressure_min double precision, applicable boolean)
language plpgsql stable parallel safe
set plan_cache_mode = force_custom_plan set max_parallel_workers_per_gather = 0 set jit = off as $$
#variable_conflict use_column
declare
    origin constant timestamptz := since - interval '30 days';  -- 28 nights before, and their 24 hours
    -- What fills and empties a tank is no zone's demand.
    tanks constant text[] := array(select distinct d.device::text from qytet.datastream d where d.property = 'water_tank_level');
    flows constant integer[] := array(
        select d.datastream_id from qytet.datastream d
        where d.datastream_id = any (qytet.streams(cities, sites, devices, '{*}', '{water_flow_rate}'))
          and d.device <> all (tanks));
    pressures constant integer[] := qytet.streams(cities, sites, devices, '{*}', '{water_pressure}');
    quarters constant timestamptz[] := array(
        select q from generate_series(date_bin('15 minutes', origin, timestamptz '2000-01-01T00:00Z'),
                                      least(till + interval '1 day', now()), interval '15 minutes') q
        where exists (select from qytet.city c where qytet.chosen(c.city, cities)
                      and extract(hour from q at time zone c.time_zone) in (2, 3)));
begin
    return query
    with zone as materialized (
        select d.datastream_id, d.city::text, d.site::text, d.device::text, d.channel, d.property, c.time_zone,
               d.device || case d.channel when '' then '' else ' · ' || d.channel end as label,
               min(d.datastream_id) over (partition by d.device, d.channel, d.property) as flow
        from qytet.datastream d join qytet.city c using (city)
        where d.datastream_id = any (flows || pressures)
    ), night as materialized (
        select z.flow, (q.bucket at time zone z.time_zone)::date as day, min(q.mean) as least_flow, count(*) as quarters
        from qytet.observation_15min q join zone z using (datastream_id)
        where q.datastream_id = any (flows) and q.bucket = any (quarters) and q.n > 0
          and extract(hour from q.bucket at time zone z.time_zone) in (2, 3)
        group by 1, 2
    ), fed as materialized (  -- the 24 hours that end with the night, at 04:00
        select z.device, (h.bucket at time zone z.time_zone + interval '20 hours')::date as day, min(h.min) as lowest,
               count(distinct h.bucket) as hours
        from qytet.observation_hour h join zone z using (datastream_id)
        where h.datastream_id = any (pressures) and h.bucket >= origin and h.bucket < till + interval '1 day' and h.n > 0
        group by 1, 2
    ), day as materialized (
        select z.flow, (h.bucket at time zone z.time_zone)::date as day, sum(h.sum) / sum(h.n)::double precision as mean_flow
        from qytet.observation_hour h join zone z using (datastream_id)
        where h.datastream_id = any (flows) and h.bucket >= since - interval '1 day' and h.bucket < till + interval '1 day'
          and h.n > 0
        group by 1, 2
    ), every as (
        select z.*, g.day,
               case when n.quarters >= 2 and now() >= (g.day + time '04:00') at time zone z.time_zone
                    then n.least_flow end as night_flow,
               f.lowest,
               z.device not in (select p.device from zone p where p.property = 'water_pressure')
               or coalesce(f.lowest > 1 and f.hours >= 18, false) as applicable
        from zone z
        cross join lateral (select a::date as day
                            from generate_series((origin at time zone z.time_zone)::date,
                                                 (till at time zone z.time_zone)::date, interval '1 day') a) g
        left join night n on n.flow = z.flow and n.day = g.day
        left join fed f on f.device = z.device and f.day = g.day
        where z.datastream_id = z.flow and z.property = 'water_flow_rate'
    ), compared as (
        select e.*, array_agg(e.night_flow) filter (where e.applicable and e.night_flow is not null) over (
                   partition by e.flow order by e.day range between interval '28 days' preceding
                   and interval '1 day' preceding) as before
        from every e
    )
    select c.day::timestamp at time zone c.time_zone, c.city, c.site, c.device, c.label, c.night_flow, d.mean_flow,
           m.baseline, case when c.applicable and m.baseline > 0 then c.night_flow / m.baseline end, c.lowest, c.applicable
    from compared c
    left join day d on d.flow = c.flow and d.day = c.day
    left join lateral (
        select percentile_cont(0.5) within group (order by v.flow) as baseline
        from (select b.flow from unnest(c.before) with ordinality b (flow, rank) order by b.rank desc limit 14) v
        having count(*) >= 3) m on true
    where c.day::timestamp at time zone c.time_zone >= since and c.day::timestamp at time zone c.time_zone < till
      and (c.night_flow is not null or d.mean_flow is not null)
    order by 1, 5;
end $$;
comment on function qytet.night_flow(text[], text[], text[], timestamptz, timestamptz) is
    'A flow meter''s night by its civil day (its start, in [since, till)); a tank''s meters are left out. night_flow: least '
    'mean of a quarter between 02:00 and 04:00 (m3/h; null until the night is over, or with fewer than two quarters); '
    'mean_flow of the civil day; baseline: median of the last 14 applicable nights of the 28 days before, null under 3; ratio '
    'of night_flow to it; pressure_min: lowest reading (bar) of the device in the 24 hours to 04:00; applicable unless the '
    'device measures pressure and it was not above 1 bar for these hours (18 of them must be known).';

create function qytet.water_quality_now(cities text[], sites text[], devices text[])
returns table (city text, site text, site_name text, device text, property text, value double precision,
               low double precision, high double precision, ok boolean, ucum text, lat double precision,
               lon double precision, "time" timestamptz, age_s double precision, channel text)
language sql stable parallel safe as $$
    select y.city::text, y.site::text, s.name, y.device::text, y.property, g.value, l.low, l.high,
           case when y.phenomenon_time > now() - interval '2 hours' and (l.low is not null or l.high is not null)
                then g.value >= coalesce(l.low, '-infinity') and g.value <= coalesce(l.high, 'infinity') end,
           y.ucum, s.lat, s.lon, y.phenomenon_time, extract(epoch from now() - y.phenomenon_time)::double precision, y.channel
    from qytet.latest y
    join qytet.datastream d using (datastream_id)
    join qytet.site s on s.city = y.city and s.site = y.site
    left join qytet.water_limit l on l.property = y.property
    cross join lateral (select case when y.quality <= 2 then y.value end as value) g
    where y.property in ('water_ph', 'water_free_chlorine', 'water_turbidity', 'water_conductivity', 'water_temperature',
                         'water_orp', 'water_dissolved_oxygen')
      and (d.valid_to is null or d.valid_to > now())
      and qytet.chosen(y.city, cities) and qytet.chosen(y.site, sites) and qytet.chosen(y.device, devices)
    order by 1, 2, 4, 5, 15
$$;
comment on function qytet.water_quality_now(text[], text[], text[]) is
    'The newest reading of each probe in the pipes, its limits (qytet.water_limit) and whether it keeps them: null where there '
    'is no limit, no good value, or none of the last two hours.';

create function qytet.water_balance(cities text[], sites text[], devices text[], since timestamptz, till timestamptz)
returns table ("time" timestamptz, city text, site text, device text, m3 double precision)
language sql stable parallel safe as $$
    select y."time", d.city::text, d.site::text, d.device::text, sum(y.delta)
    from qytet.counter_day(qytet.streams(cities, sites, devices, '{*}', '{water_volume_total}'), since, till) y
    join qytet.datastream d using (datastream_id)
    group by 1, 2, 3, 4 order by 1, 2, 4
$$;
comment on function qytet.water_balance(text[], text[], text[], timestamptz, timestamptz) is
    'Cubic metres through a device''s meters by civil day of its city, from their counters; days that touch [since, till), whole.';

create function qytet.tank(cities text[], sites text[], devices text[], since timestamptz, till timestamptz, wanted text)
returns table ("time" timestamptz, city text, site text, device text, level double precision, inlet double precision,
               outlet double precision, pump double precision)
language plpgsql stable parallel safe
set plan_cache_mode = force_custom_plan set max_parallel_workers_per_gather = 0 set jit = off as $$
#variable_conflict use_column
declare
    streams constant integer[] := array(
        select d.datastream_id from qytet.datastream d
        join (select distinct t.device from qytet.datastream t where t.property = 'water_tank_level') t using (device)
        where d.datastream_id = any (qytet.streams(cities, sites, devices, '{*}',
                                                   '{water_tank_level,water_flow_rate,pump_running}')));
begin
    return query
    select g."time", g.city, g.site, g.device,
           avg(g.mean) filter (where g.property = 'water_tank_level'),
           sum(g.mean) filter (where g.property = 'water_flow_rate' and g.channel like 'inlet%'),
           sum(g.mean) filter (where g.property = 'water_flow_rate' and g.channel like 'outlet%'),
           max(g.mean) filter (where g.property = 'pump_running')
    from (  -- a replaced meter and its successor are one
        select s."time", d.city::text, d.site::text, d.device::text, d.property, d.channel,
               sum(s.mean * s.n) / nullif(sum(s.n), 0)::double precision as mean
        from qytet.series(streams, since, till, wanted) s join qytet.datastream d using (datastream_id)
        group by 1, 2, 3, 4, 5, 6) g
    group by 1, 2, 3, 4 order by 1, 4;
end $$;
comment on function qytet.tank(text[], text[], text[], timestamptz, timestamptz, text) is
    'A tank''s bucket (raw: instant): mean level (m), flow (m3/h) of its channels inlet and outlet, and the part of the time '
    'that its busiest pump ran (0 to 1).';

grant select on qytet.water_limit to qytet_dashboards;
