-- What panels show of street lamps: their states and faults, power against schedule, energy, and lamps now.
create function qytet.lamp_state(cities text[], sites text[], devices text[], channels text[], since timestamptz,
                                 till timestamptz, wanted text)
returns table ("time" timestamptz, city text, site text, device text, channel text, label text, level double precision,
               power double precision, expected double precision, state smallint)
language plpgsql stable parallel safe
set plan_cache_mode = force_custom_plan set jit = off set enable_mergejoin = off set enable_nestloop = off
set max_parallel_workers_per_gather = 0 as $$
#variable_conflict use_column
declare
    fit constant text := qytet.lamp_resolution(cities, sites, devices, channels, wanted, since, till);
    lamps integer[]; ratings double precision[];
begin
    if fit = 'day' then
        return query with lamp as materialized (select * from qytet.lamp(cities, sites, devices, channels)),
        day as materialized (
            select * from qytet.lamp_day(cities, sites, devices, channels, since, till)
        ), doubtful as materialized (
            select y.lamp, max(y.rated) as rated from day y group by y.lamp having bool_or(y.doubtful)
        ), judged as (
            select b.lamp, date_trunc('day', b."time", 'Europe/Tirane') as "time",
                   coalesce(mode() within group (order by b.state) filter (where b.state >= 4),
                            max(b.state) filter (where b.state = 2), max(b.state)) as state
            from qytet.lamp_bucket(cities, sites, devices, channels, array(select d.lamp from doubtful d order by d.lamp),
                                   array(select d.rated from doubtful d order by d.lamp),
                                   date_trunc('day', since, 'Europe/Tirane'), till, false) b
            group by 1, 2
        )
        select y."time", l.city, l.site, l.device, l.channel, l.label, y.level, y.power, y.expected,
               coalesce(j.state, y.state)
        from day y join lamp l using (lamp) left join judged j on j.lamp = y.lamp and j."time" = y."time"
        where y."time" is not null order by 1;
        return;
    end if;
    select array_agg(y.lamp), array_agg(y.rated) into lamps, ratings
    from (select y.lamp, max(y.rated) as rated from qytet.lamp_day(cities, sites, devices, channels, till, till) y
          group by y.lamp) y;
    return query select b."time", l.city, l.site, l.device, l.channel, l.label, b.level, b.power, b.expected, b.state
    from qytet.lamp_bucket(cities, sites, devices, channels, lamps, ratings, since, till, fit = '15min') b
    join qytet.lamp(cities, sites, devices, channels) l using (lamp)
    order by 1;
end $$;
comment on function qytet.lamp_state(text[], text[], text[], text[], timestamptz, timestamptz, text) is
    'A lamp''s bucket of 15 min or more: mean level (%), mean and expected power (W), and state: 0 unknown (no level, or no '
    'supply), 1 off, 2 on, 3 dimmed, 4 dark (commanded >= 20 %, all readings < 15 % of expected, supply present), 5 burning '
    'by day (all > 20 % of rated while the sun is above 5 degrees or the site''s photocell above 200 lx), 6 cycling (>= 4 '
    'transitions in 60 min while commanded), 7 power off its expectation (all > 15 % and > 5 W, three reports). A civil day '
    '(of Europe/Tirane) has its hours'' most frequent fault, if any. auto is coarser than elsewhere for many lamps: up to '
    '20,000 buckets.';

create function qytet.lamp_drawn(cities text[], sites text[], devices text[], channels text[], since timestamptz,
                                 till timestamptz, wanted text)
returns table ("time" timestamptz, city text, site text, device text, channel text, label text, level double precision,
               power double precision, expected double precision)
language plpgsql stable parallel safe
set plan_cache_mode = force_custom_plan set jit = off set enable_mergejoin = off set enable_nestloop = off
set max_parallel_workers_per_gather = 0 as $$
#variable_conflict use_column
declare
    fit constant text := qytet.lamp_resolution(cities, sites, devices, channels, wanted, since, till);
    streams constant integer[] := qytet.streams(cities, sites, devices, channels, '{lamp_active_power,lamp_dimming_level}');
begin
    if fit = 'day' then
        return query select y."time", l.city, l.site, l.device, l.channel, l.label, y.level, y.power, y.expected
        from qytet.lamp_day(cities, sites, devices, channels, since, till) y
        join qytet.lamp(cities, sites, devices, channels) l using (lamp) where y."time" is not null order by 1;
        return;
    end if;
    return query
    with lamp as materialized (
        select l.*, y.rated from qytet.lamp(cities, sites, devices, channels) l
        left join (select y.lamp, max(y.rated) as rated
                   from qytet.lamp_day(cities, sites, devices, channels, till, till) y group by 1) y using (lamp)
    ), part as materialized (
        select * from qytet.lamp_part(streams, '{}', since, till, fit = '15min')
    ), level as (
        select l.lamp, v.* from lamp l cross join unnest(l.level) i (id) join part v on v.datastream_id = i.id
    )
    select p.bucket, l.city, l.site, l.device, l.channel, l.label, v.mean, p.mean,
           qytet.lamp_scheduled(l.rated, v.mean, v.min, v.max)
    from lamp l cross join unnest(l.power) i (id) join part p on p.datastream_id = i.id
    left join level v on v.lamp = l.lamp and v.bucket = p.bucket
    order by 1;
end $$;
comment on function qytet.lamp_drawn(text[], text[], text[], text[], timestamptz, timestamptz, text) is
    'qytet.lamp_state without its state, for whoever does not ask for that.';

-- A dark lamp is proven dark by night only: its days, and hours without readings, do not end the fault. What does end it
-- is a sign of health: light without fault, or for a day-burner an hour of daylight at rest.
create function qytet.lamp_fault(cities text[], sites text[], devices text[], channels text[], since timestamptz,
                                 till timestamptz)
returns table (city text, site text, site_name text, device text, channel text, label text, state smallint,
               since_time timestamptz, until_time timestamptz, hours double precision, ongoing boolean)
language plpgsql stable parallel safe
set plan_cache_mode = force_custom_plan set jit = off set work_mem = '24MB' set enable_mergejoin = off
set enable_nestloop = off set max_parallel_workers_per_gather = 0 as $$
#variable_conflict use_column
declare
    fine constant boolean := till - since <= interval '2 days';
    step constant interval := case when fine then interval '15 minutes' else interval '1 hour' end;
    lamps integer[]; ratings double precision[];
begin
    select array_agg(y.lamp), array_agg(y.rated) into lamps, ratings
    from (select y.lamp, max(y.rated) as rated from qytet.lamp_day(cities, sites, devices, channels, since, till) y
          group by y.lamp having bool_or(y.doubtful)) y;
    return query
    with bucket as materialized (
        select b.lamp, b."time", b.state, b.rests
        from qytet.lamp_bucket(cities, sites, devices, channels, lamps, ratings, since, till, fine) b
    ), healed as (
        select b.lamp, b."time", b.state,
               count(*) filter (where b.state in (2, 3)) over w as lit, count(*) filter (where b.rests) over w as rested
        from bucket b where b.lamp in (select lamp from bucket where state >= 4)
        window w as (partition by b.lamp order by b."time")
    ), run as (
        select h.lamp, h.state, min(h."time") as began, max(h."time") + step as ended, count(*) as buckets,
               max(case h.state when 5 then h.rested else h.lit end) as healings
        from healed h where h.state >= 4
        group by h.lamp, h.state, case h.state when 5 then h.rested else h.lit end
    )
    select l.city, l.site, s.name, l.device, l.channel, l.label, r.state, r.began, least(r.ended, till),
           r.buckets * extract(epoch from step)::double precision / 3600,
           r.healings = n.healings
    from run r
    join qytet.lamp(cities, sites, devices, channels) l using (lamp)
    join qytet.site s on s.city = l.city and s.site = l.site
    cross join lateral (select case r.state when 5 then max(h.rested) else max(h.lit) end as healings
                        from healed h where h.lamp = r.lamp) n
    order by 8, 6;
end $$;
comment on function qytet.lamp_fault(text[], text[], text[], text[], timestamptz, timestamptz) is
    'A lamp''s fault in [since, till): state 4 to 7 of qytet.lamp_state, from its first to the end of its last bucket (15 min '
    'up to 2 days, else an hour), how many hours it showed, and whether no sign of health came after it. By day a lamp is '
    'not asked to burn: that is no sign of health.';

create function qytet.light_drawn(cities text[], sites text[], devices text[], since timestamptz, till timestamptz,
                                  wanted text)
returns table ("time" timestamptz, city text, power double precision, scheduled double precision, lamps_on bigint)
language plpgsql stable parallel safe
set plan_cache_mode = force_custom_plan set jit = off set enable_mergejoin = off set enable_nestloop = off
set max_parallel_workers_per_gather = 0 as $$
#variable_conflict use_column
declare
    fit constant text := qytet.lamp_resolution(cities, sites, devices, '{*}', wanted, since, till);
    streams constant integer[] := qytet.streams(cities, sites, devices, '{*}', '{lamp_active_power,lamp_dimming_level}');
    ended integer[]; ends timestamptz[];
begin
    select r.ended, r.ends into ended, ends from qytet.lamp_replaced(streams) r;
    return query
    with day as materialized (
        select * from qytet.lamp_day(cities, sites, devices, '{*}', since, till)
    ), lamp as materialized (
        select l.lamp, l.city, l.power, l.level, y.rated
        from qytet.lamp(cities, sites, devices, '{*}') l
        left join (select y.lamp, max(y.rated) as rated from day y group by 1) y using (lamp)
    ), member as materialized (
        select i as id, l.city, true as power, 0.036 * l.rated as watts, null::double precision as at_least,
               null::double precision as by_level
        from lamp l cross join unnest(l.power) i
        union all
        select i, l.city, false, null, 0.5 + (l.rated - 0.5) * 0.05, (l.rated - 0.5) * 0.0095
        from lamp l cross join unnest(l.level) i
    ), part as (
        select o.datastream_id, o.bucket, o.mean, o.min, o.max from qytet.observation_15min o
        where fit = '15min' and o.datastream_id = any (streams) and o.bucket >= since and o.bucket < till and o.n > 0
          and (o.datastream_id <> all (ended)
               or o.bucket + interval '15 minutes' <= ends[array_position(ended, o.datastream_id)])
        union all
        select o.datastream_id, o.bucket, o.mean, o.min, o.max from qytet.observation_hour o
        where fit = 'hour' and o.datastream_id = any (streams) and o.bucket >= since and o.bucket < till and o.n > 0
          and (o.datastream_id <> all (ended)
               or o.bucket + interval '1 hour' <= ends[array_position(ended, o.datastream_id)])
    )
    select p.bucket, m.city, sum(p.mean) filter (where m.power),
           sum(case when p.max > 0 then case when p.min > 0 then 1 else p.mean / p.max end * m.at_least
                                        + m.by_level * p.mean else 0 end) filter (where not m.power and m.at_least is not null),
           count(*) filter (where m.power and p.mean >= m.watts)
    from part p join member m on m.id = p.datastream_id group by 1, 2
    union all
    select y."time", l.city, sum(y.power), sum(y.expected), count(*) filter (where y.power >= 0.036 * y.rated)
    from day y join lamp l using (lamp) where fit = 'day' and y."time" is not null group by 1, 2
    order by 1, 2;
end $$;
comment on function qytet.light_drawn(text[], text[], text[], timestamptz, timestamptz, text) is
    'A city''s bucket of 15 min or more (a civil day is one of Europe/Tirane): mean power of its metered lamps and what they '
    'should draw at the commanded level (W), and how many are lit. Lamps whose rated power is not known yet are not '
    'scheduled. auto is coarser than elsewhere for many lamps: up to 20,000 buckets of lamps.';

create function qytet.light_energy(cities text[], sites text[], devices text[], since timestamptz, till timestamptz)
returns table ("time" timestamptz, city text, site text, kwh double precision)
language sql stable parallel safe as $$
    select y."time", d.city::text, d.site::text, sum(y.delta)
    from qytet.counter_day(qytet.streams(cities, sites, devices, '{*}', '{lamp_energy_total}'), since, till) y
    join qytet.datastream d using (datastream_id)
    group by 1, 2, 3 order by 1, 2, 3
$$;
comment on function qytet.light_energy(text[], text[], text[], timestamptz, timestamptz) is
    'Energy (kWh) of a site''s lamps by civil day of its city, from their counters; days that touch [since, till), whole.';

create function qytet.lamp_now(cities text[], sites text[], devices text[], channels text[])
returns table (city text, site text, site_name text, device text, channel text, label text, lat double precision,
               lon double precision, level double precision, power double precision, expected double precision,
               rated double precision, voltage double precision, power_factor double precision, state smallint,
               "time" timestamptz, age_s double precision)
language plpgsql stable parallel safe
set plan_cache_mode = force_custom_plan set jit = off set enable_mergejoin = off set enable_nestloop = off
set max_parallel_workers_per_gather = 0 as $$
#variable_conflict use_column
declare
    streams constant integer[] := qytet.streams(cities, sites, devices, channels, '{lamp_active_power,lamp_dimming_level}');
    cells constant integer[] := qytet.streams(cities, sites, '{*}', '{*}', '{photocell_illuminance}');
    stale constant timestamptz := now() - interval '75 minutes';  -- five reports of a quarter, or a late hourly one
begin
    return query
    with lamp as materialized (
        select l.*, r.rated, l.level = '{}' as undimmed, l.power = '{}' as unmetered,
               greatest(1, 0.15 * qytet.lamp_expected(r.rated, 20)) as floor_w
        from qytet.lamp(cities, sites, devices, channels) l
        left join (select y.lamp, max(y.rated) as rated
                   from qytet.lamp_day(cities, sites, devices, channels, now(), now()) y group by 1) r using (lamp)
        where not l.ended
    ), newest as materialized (
        select y.datastream_id, y.phenomenon_time, case when y.quality <= 2 then y.value end as value from qytet.latest y
        where y.property in ('lamp_active_power', 'lamp_dimming_level', 'lamp_power_factor', 'lamp_supply_voltage')
    ), raw as (
        select m.lamp, o.phenomenon_time as at, max(o.value) filter (where m.kind = 1) as power,
               max(o.value) filter (where m.kind = 2) as level
        from qytet.observation o
        join (select l.lamp, p.id, 1 as kind from lamp l cross join unnest(l.power) p (id)
              union all select l.lamp, v.id, 2 from lamp l cross join unnest(l.level) v (id)) m on m.id = o.datastream_id
        where o.datastream_id = any (streams) and o.phenomenon_time > stale and o.quality <= 2 and o.value is not null
        group by 1, 2
    ), carried as (  -- a level stands until the next
        select r.lamp, r.at, r.power, max(r.level) over (partition by r.lamp, r.part) as level
        from (select r.*, count(r.level) over (partition by r.lamp order by r.at) as part from raw r) r
    ), judged as (
        select c.lamp, c.at, c.power, c.level, l.rated,
               max(c.at) filter (where c.power is not null) over (partition by c.lamp) as newest_at,
               row_number() over (partition by c.lamp order by c.power is null, c.at desc) as age,
               c.level >= 20 as asked, qytet.lamp_expected(l.rated, c.level) as expected,
               (c.power >= l.floor_w) is distinct from (lag(c.power) over w >= l.floor_w)
               and c.level >= 20 and lag(c.level) over w >= 20 as turned
        from carried c join lamp l using (lamp)
        window w as (partition by c.lamp, c.power is null order by c.at)
    ), past as (
        select j.lamp, max(j.newest_at) as newest_at,
               bool_and(j.asked) filter (where j.at > j.newest_at - interval '5 minutes')
               and (array_agg(j.asked order by j.at desc) filter (where j.at <= j.newest_at - interval '5 minutes'
                    and j.level is not null))[1] as asked,
               count(*) filter (where j.turned and j.power is not null and j.at > j.newest_at - interval '62 minutes') as turns,
               count(*) filter (where j.age <= 3 and j.power is not null) >= 2
               and bool_and(j.level > 0 and abs(j.power - j.expected) > greatest(5, 0.15 * j.expected))
                   filter (where j.age <= 3 and j.power is not null) as off,
               min(j.power) filter (where j.at > j.newest_at - interval '31 minutes') as least_power
        from judged j group by j.lamp
    ), bright as (
        select d.city::text, d.site::text, min(o.value) > 200 as bright
        from qytet.observation o join qytet.datastream d using (datastream_id)
        where o.datastream_id = any (cells) and o.phenomenon_time > now() - interval '31 minutes' and o.quality <= 2
        group by 1, 2
    )
    select l.city, l.site, s.name, l.device, l.channel, l.label, s.lat, s.lon, v.value, p.value,
           qytet.lamp_expected(l.rated, v.value), l.rated, u.value, f.value,
           case when l.unmetered or p.value is null or p.phenomenon_time <= stale then 0
                when not l.undimmed and (v.value is null or v.phenomenon_time <= stale) then 0
                when h.least_power > 0.2 * l.rated and (b.bright or e.low > 5) then 5
                when h.turns >= 4 then 6
                when u.value < 100 and u.phenomenon_time > stale then 0
                when h.asked and (p.value < 0.15 * qytet.lamp_expected(l.rated, v.value) or p.value < 1) then 4
                when h.off then 7
                when p.value < l.floor_w then 1
                when l.undimmed or v.value >= 99.5 or v.value < 1 then 2
                else 3
           end::smallint,
           coalesce(p.phenomenon_time, v.phenomenon_time),
           extract(epoch from now() - coalesce(p.phenomenon_time, v.phenomenon_time))::double precision
    from lamp l
    join qytet.site s on s.city = l.city and s.site = l.site
    left join lateral (select n.* from newest n where n.datastream_id = any (l.power)
                       order by n.phenomenon_time desc limit 1) p on true
    left join lateral (select n.* from newest n where n.datastream_id = any (l.level)
                       order by n.phenomenon_time desc limit 1) v on true
    left join lateral (select n.* from newest n where n.datastream_id = any (l.factor)
                       order by n.phenomenon_time desc limit 1) f on true
    left join lateral (select n.* from newest n where n.datastream_id = any (l.voltage)
                       order by n.phenomenon_time desc limit 1) u on true
    left join past h on h.lamp = l.lamp
    left join bright b on b.city = l.city and b.site = l.site
    left join lateral (select least(qytet.sun_elevation(s.lat, s.lon, p.phenomenon_time - interval '30 minutes'),
                                    qytet.sun_elevation(s.lat, s.lon, p.phenomenon_time)) as low) e on true
    order by 1, 6;
end $$;
comment on function qytet.lamp_now(text[], text[], text[], text[]) is
    'A lamp in service: its newest level (%), power, expected and rated power (W), supply voltage (V) and power factor, null '
    'if suspect or worse; state as in qytet.lamp_state, from the readings of the last 75 minutes, 0 if there are none.';
