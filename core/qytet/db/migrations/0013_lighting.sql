-- Street lamps: what each draws, what it should draw, and which are dark, burn by day or cycle. The platform judges by
-- itself, whatever controllers say of themselves; names of states are those of TALQ's lamp monitor.

-- The sun's position after the Astronomical Almanac's low-precision formulas (0.01 degree from 1950 to 2050).
create function qytet.sun_elevation(lat double precision, lon double precision, at timestamptz) returns double precision
language plpgsql immutable strict parallel safe as $$
declare
    n constant double precision := extract(epoch from at)::double precision / 86400 - 10957.5;  -- days since J2000.0
    g constant double precision := 357.528 + 0.9856003 * n;
    ecliptic constant double precision := 280.460 + 0.9856474 * n + 1.915 * sind(g) + 0.020 * sind(2 * g);
    tilt constant double precision := 23.439 - 0.0000004 * n;
    declination constant double precision := asind(sind(tilt) * sind(ecliptic));
    ascension constant double precision := atan2d(cosd(tilt) * sind(ecliptic), cosd(ecliptic));
    hour_angle constant double precision := 280.46061837 + 360.98564736629 * n + lon - ascension;
begin
    return asind(least(1, greatest(-1,
        sind(lat) * sind(declination) + cosd(lat) * cosd(declination) * cosd(hour_angle))));
end $$;
comment on function qytet.sun_elevation(double precision, double precision, timestamptz) is
    'Elevation of the sun''s centre in degrees above the horizon, without refraction, for degrees north and east.';

-- D4i: light output and power are nearly linear; 5 % of the power above standby is spent at the lowest level.
create function qytet.lamp_expected(rated double precision, level double precision) returns double precision
language sql immutable parallel safe
return case when level > 0 then 0.5 + (rated - 0.5) * (0.05 + 0.0095 * level) when level <= 0 then 0 end;
comment on function qytet.lamp_expected(double precision, double precision) is
    'Watts that a lamp should draw at a level (0 to 100 %), of which 0.5 W standby; nothing at level 0, where a relay is off.';

create function qytet.lamp_scheduled(rated double precision, level double precision, lowest double precision,
                                     highest double precision)
returns double precision language sql immutable parallel safe
return case when highest > 0 then  -- a level of 0 within: lit for a part of the bucket only
                case when lowest > 0 then 1 else level / highest end * (0.5 + (rated - 0.5) * 0.05)
                + (rated - 0.5) * 0.0095 * level
            when highest <= 0 then 0 end;
comment on function qytet.lamp_scheduled(double precision, double precision, double precision, double precision) is
    'Watts that a lamp should draw in the mean of a bucket with this mean, lowest and highest level (%).';

create function qytet.lamp(cities text[], sites text[], devices text[], channels text[])
returns table (lamp integer, city text, site text, device text, channel text, label text, power integer[],
               level integer[], factor integer[], voltage integer[], ended boolean)
language sql stable parallel safe as $$
    with stream as materialized (
        select d.datastream_id, d.city::text, d.site::text, d.device::text, d.channel, d.property,
               d.valid_to <= now() as ended
        from qytet.datastream d
        where d.property in ('lamp_active_power', 'lamp_dimming_level', 'lamp_power_factor', 'lamp_supply_voltage')
          and qytet.chosen(d.city, cities) and qytet.chosen(d.site, sites) and qytet.chosen(d.device, devices)
    ), shared as (
        select device, array_agg(datastream_id) as voltage from stream
        where property = 'lamp_supply_voltage' and channel = '' group by device
    )
    select g.lamp, g.city, g.site, g.device, g.channel,
           g.device || case g.channel when '' then '' else ' · ' || g.channel end,
           coalesce(g.power, '{}'), coalesce(g.level, '{}'), coalesce(g.factor, '{}'),
           coalesce(g.voltage, '{}') || coalesce(h.voltage, '{}'), g.ended
    from (
        select s.city, s.site, s.device, s.channel,
               min(s.datastream_id) filter (where s.property in ('lamp_active_power', 'lamp_dimming_level')) as lamp,
               array_agg(s.datastream_id) filter (where s.property = 'lamp_active_power') as power,
               array_agg(s.datastream_id) filter (where s.property = 'lamp_dimming_level') as level,
               array_agg(s.datastream_id) filter (where s.property = 'lamp_power_factor') as factor,
               array_agg(s.datastream_id) filter (where s.property = 'lamp_supply_voltage' and s.channel <> '') as voltage,
               coalesce(bool_and(s.ended) filter (where s.property in ('lamp_active_power', 'lamp_dimming_level')), false)
                   as ended
        from stream s
        where qytet.chosen(case s.channel when '' then '-' else s.channel end, channels)
        group by 1, 2, 3, 4
    ) g
    left join shared h using (device)
    where g.lamp is not null
$$;
comment on function qytet.lamp(text[], text[], text[], text[]) is
    'A lamp: a device''s channel with a power or a level, known by the lowest id of those datastreams; the ids of its power, '
    'level, power factor and of its own or its controller''s supply voltage; `ended` when it is out of service.';

-- Days first: most lamps are healthy, and a day's mean shows it. Rated power is the highest but for a few days: neither a
-- meter's leap nor weeks of darkness change what a lamp is known to draw.
create function qytet.lamp_day(cities text[], sites text[], devices text[], channels text[], since timestamptz,
                               till timestamptz)
returns table (lamp integer, "time" timestamptz, level double precision, power double precision,
               expected double precision, rated double precision, state smallint, doubtful boolean)
language plpgsql stable parallel safe
set plan_cache_mode = force_custom_plan set jit = off set enable_mergejoin = off set enable_nestloop = off
set max_parallel_workers_per_gather = 0 as $$
#variable_conflict use_column
declare
    streams constant integer[] := qytet.streams(cities, sites, devices, channels, '{lamp_active_power,lamp_dimming_level}');
    first_day constant timestamptz := date_trunc('day', since, 'Europe/Tirane');
begin
    return query
    with lamp as materialized (select * from qytet.lamp(cities, sites, devices, channels)),
    part as materialized (
        select o.datastream_id, o.bucket, o.n, o.mean, o.max from qytet.observation_day o
        where o.datastream_id = any (streams) and o.bucket >= least(first_day, till - interval '36 days')
          and o.bucket < till and o.n > 0
    ), level as (
        select l.lamp, d.* from lamp l cross join unnest(l.level) i (id) join part d on d.datastream_id = i.id
    ), day as materialized (
        select l.lamp, l.level = '{}' as undimmed, p.bucket, p.n, p.mean as power, p.max as p_max,
               v.n as v_n, v.mean as level, v.max as v_max
        from lamp l cross join unnest(l.power) i (id) join part p on p.datastream_id = i.id
        left join level v on v.lamp = l.lamp and v.bucket = p.bucket
    ), known as materialized (
        select d.lamp, nullif(greatest(4.99, percentile_disc(0.9) within group (
                   order by case when d.undimmed then d.p_max else 0.5 + (d.p_max - 0.5) / (0.05 + 0.0095 * d.v_max) end)),
                   4.99) as rated
        from day d where d.undimmed or d.v_max >= 50 group by d.lamp
    ), compared as (  -- lit for so much of the day at least, if it never was below full level; and at most
        select d.*, k.rated, (k.rated - 0.5) * 0.0095 * d.level as by_level, 0.5 + (k.rated - 0.5) * 0.05 as at_least,
               d.level / greatest(d.v_max, 1) as shortest, least(1, d.level / 20) as longest
        from day d left join known k using (lamp) where d.bucket >= first_day
    )
    select l.lamp, c.bucket, c.level, c.power, c.by_level + c.at_least * (c.shortest + c.longest) / 2, c.rated,
           case when c.v_n is null and not c.undimmed then 0 when c.p_max < 1 then 1
                when c.undimmed or c.v_max >= 99.5 then 2 else 3 end::smallint,
           coalesce(c.rated is null or c.undimmed or c.n <> c.v_n
                    or c.power < 0.98 * (c.by_level + c.at_least * c.shortest) - 0.1
                    or c.power > 1.02 * (c.by_level + c.at_least * c.longest) + 0.1, true)
    from lamp l left join compared c using (lamp);
end $$;
comment on function qytet.lamp_day(text[], text[], text[], text[], timestamptz, timestamptz) is
    'A lamp''s civil day of Europe/Tirane that touches [since, till), or one row with no day: mean level (%), mean and expected '
    'power (W), state (0 unknown, 1 off, 2 on, 3 dimmed) and whether that is doubtful, as the mean power is not that of its '
    'level to 2 %. rated (W): the 90th percentile of its highest power on each of the last 36 days (or of the range) with a '
    'level of 50 % or more, taken to full level; null under 5 W, which no street lamp draws.';

-- Not inlined: the planner would take what the rollups' views answer for a two-hundredth, and hash the many, not the few.
create function qytet.lamp_part(streams integer[], voltages integer[], since timestamptz, till timestamptz, fine boolean)
returns table (datastream_id integer, bucket timestamptz, n bigint, mean double precision, min double precision,
               max double precision)
language plpgsql stable parallel safe rows 50000 set plan_cache_mode = force_custom_plan set jit = off
set max_parallel_workers_per_gather = 0 as $$
#variable_conflict use_column
declare
    everything constant integer[] := streams || voltages;
begin
    if fine then
        return query select o.datastream_id, o.bucket, o.n, o.mean, o.min, o.max from qytet.observation_15min o
        where o.datastream_id = any (everything) and o.bucket >= since and o.bucket < till and o.n > 0
          and (o.min < 100 or o.datastream_id <> all (voltages));
    else
        return query select o.datastream_id, o.bucket, o.n, o.mean, o.min, o.max from qytet.observation_hour o
        where o.datastream_id = any (everything) and o.bucket >= since and o.bucket < till and o.n > 0
          and (o.min < 100 or o.datastream_id <> all (voltages));
    end if;
end $$;
comment on function qytet.lamp_part(integer[], integer[], timestamptz, timestamptz, boolean) is
    'Buckets with a good value of these datastreams in [since, till): quarters if fine, else hours. Of voltages those only '
    'that fell below 100 V of 230 V, where nothing burns: nearly none.';

-- On and off by quarters, for lamps that are suspected of cycling: {} answers at once.
create function qytet.lamp_turns(powers integer[], floors double precision[], since timestamptz, till timestamptz)
returns table (datastream_id integer, bucket timestamptz, turns bigint)
language sql stable parallel safe as $$
    select q.id, q.bucket,
           sum(q.inner_turns + coalesce((q.came <> q.on_first)::integer, 0))
               over (partition by q.id order by q.bucket range between interval '45 minutes' preceding and current row)
    from (
        select l.id, o.bucket, o.first >= l.floor_w as on_first,
               case when o.min < l.floor_w and o.max >= l.floor_w
                    then 2 - ((o.first >= l.floor_w) <> (o.last >= l.floor_w))::integer else 0 end as inner_turns,
               case when lag(o.bucket) over w >= o.bucket - interval '15 minutes'
                    then lag(o.last >= l.floor_w) over w end as came
        from unnest(powers, floors) l (id, floor_w)
        join qytet.observation_15min o on o.datastream_id = l.id
        where o.datastream_id = any (powers) and o.bucket >= since and o.bucket < till and o.n > 0
        window w as (partition by l.id order by o.bucket)
    ) q
$$;
comment on function qytet.lamp_turns(integer[], double precision[], timestamptz, timestamptz) is
    'How often a power passed its limit (W) in the hour up to the end of each quarter, as far as rollups show it.';

-- The verdict on each bucket. What needs the buckets before (a command older than five minutes, three reports,
-- transitions) is looked up only for the lamps that are suspected at all: few are, and most rows are healthy.
create function qytet.lamp_bucket(cities text[], sites text[], devices text[], channels text[], lamps integer[],
                                  ratings double precision[], since timestamptz, till timestamptz, fine boolean)
returns table (lamp integer, "time" timestamptz, level double precision, power double precision,
               expected double precision, rated double precision, state smallint, rests boolean)
language plpgsql stable parallel safe
set plan_cache_mode = force_custom_plan set jit = off set work_mem = '24MB' set enable_mergejoin = off set enable_nestloop = off
set max_parallel_workers_per_gather = 0 as $$
#variable_conflict use_column
declare
    step constant interval := case when fine then interval '15 minutes' else interval '1 hour' end;
    origin constant timestamptz := since - interval '1 hour';
    streams integer[]; voltages integer[]; places text[];
    cells integer[];
begin
    select array_agg(distinct u.id) filter (where u.id <> all (l.voltage)),
           coalesce(array_agg(distinct u.id) filter (where u.id = any (l.voltage)), '{}'), array_agg(distinct l.site)
    into streams, voltages, places
    from qytet.lamp(cities, sites, devices, channels) l cross join unnest(l.power || l.level || l.voltage) u (id)
    where l.lamp = any (lamps);
    cells := qytet.streams(cities, places, '{*}', '{*}', '{photocell_illuminance}');
    return query
    with lamp as materialized (
        select l.*, r.rated, l.level = '{}' as undimmed, dense_rank() over (order by l.city, l.site) as place,
               greatest(1, 0.15 * qytet.lamp_expected(r.rated, 20)) as floor_w  -- W; a lamp that draws less is off
        from qytet.lamp(cities, sites, devices, channels) l join unnest(lamps, ratings) r (lamp, rated) using (lamp)
    ), part as materialized (
        select * from qytet.lamp_part(streams || cells, voltages, origin, till, fine)
    ), unfed as materialized (
        select l.lamp, v.bucket from lamp l cross join unnest(l.voltage) i (id) join part v on v.datastream_id = i.id
        group by 1, 2
    ), edge as materialized (
        select c.city::text, b, qytet.sun_elevation(c.lat, c.lon, b) > 5 as high
        from qytet.city c
        cross join generate_series(date_bin(step, origin, timestamptz '2000-01-01T00:00Z') - step, till + step, step) b
        where c.city in (select l.city from lamp l)
    ), sun as materialized (  -- half an hour above 5 degrees at least
        select e.city, e.b as bucket, lead(e.high) over w and e.high and (not fine or lag(e.high) over w) as high
        from edge e window w as (partition by e.city order by e.b)
    ), cell as materialized (
        select d.datastream_id, d.city::text, d.site::text from qytet.datastream d where d.datastream_id = any (cells)
    ), light as materialized (
        select c.city, c.site, o.bucket, bool_and(o.min > 200) as bright
        from part o join cell c using (datastream_id) group by 1, 2, 3
    ), day as materialized (  -- by numbers: names are slow to compare
        select p.place, s.bucket from (select distinct place, city from lamp) p join sun s using (city) where s.high
        union all
        select p.place, y.bucket from (select distinct place, city, site from lamp) p join light y using (city, site)
        where y.bright
    ), level as (
        select l.lamp, v.* from lamp l cross join unnest(l.level) i (id) join part v on v.datastream_id = i.id
    ), pair as (  -- `in` asks a small table of the few; a join would sort or hash the many
        select l.lamp, l.rated, l.floor_w, l.undimmed, i.id, p.bucket, p.n, p.mean as power, p.min as p_min, p.max as p_max,
               v.n as v_n, v.mean as level, v.min as v_min, v.max as v_max,
               (l.lamp, p.bucket) in (select u.lamp, u.bucket from unfed u) as unfed,
               (l.place, p.bucket) in (select y.place, y.bucket from day y) as bright,
               qytet.lamp_expected(l.rated, v.min) as e_min, qytet.lamp_expected(l.rated, v.max) as e_max
        from lamp l cross join unnest(l.power) i (id) join part p on p.datastream_id = i.id
        left join level v on v.lamp = l.lamp and v.bucket = p.bucket
    ), judged as materialized (
        select p.*, bright and p_min > 0.2 * rated as burns,
               not unfed and v_min >= 20 and case when rated is null then p_max < 1 else p_max < 0.15 * e_min end as dark,
               not unfed and v_min >= 20 and p_min < floor_w and (fine or p_max >= floor_w) as turns,
               not unfed and v_min > 0 and (e_min - p_max > greatest(5, 0.15 * e_min)
                                            or p_min - e_max > greatest(5, 0.15 * e_max)) as off
        from pair p
    ), suspect as materialized (
        select lamp from judged group by lamp having bool_or(dark or turns or off)
    ), turned as materialized (
        select t.datastream_id, case when fine then t.bucket else date_trunc('hour', t.bucket, 'UTC') end as bucket
        from qytet.lamp_turns(array(select i from lamp l, unnest(l.power) i
                                    where l.lamp in (select lamp from judged where turns) order by i),
                              array(select l.floor_w from lamp l, unnest(l.power) i
                                    where l.lamp in (select lamp from judged where turns) order by i),
                              origin, till) t
        where t.turns >= 4 group by 1, 2
    ), refined as (
        select j.lamp, j.bucket, j.rated, j.floor_w, j.undimmed, j.power, j.p_max, j.level, j.v_n, j.v_min, j.v_max, j.unfed,
               j.bright, j.burns, t.bucket is not null and j.v_min >= 20 as cycles,
               j.dark and (j.v_n >= 2 and not fine
                           or lag(j.v_min) over w >= 20 and lag(j.bucket) over w >= j.bucket - step) as dark,
               j.off and (j.n >= 3 or lag(j.off) over w and (j.n >= 2 or lag(j.off, 2) over w)) as off
        from judged j left join turned t on t.datastream_id = j.id and t.bucket = j.bucket
        where j.lamp in (select lamp from suspect)
        window w as (partition by j.lamp order by j.bucket)
        union all
        select lamp, bucket, rated, floor_w, undimmed, power, p_max, level, v_n, v_min, v_max, unfed, bright, burns,
               false, false, false
        from judged where lamp not in (select lamp from suspect)
    )
    select j.lamp, j.bucket, j.level, j.power,
           qytet.lamp_scheduled(j.rated, j.level, j.v_min, j.v_max), j.rated,
           case when j.v_n is null and not j.undimmed then 0
                when j.burns then 5
                when j.cycles then 6
                when j.dark then 4
                when j.unfed then 0
                when j.off then 7
                when j.power < j.floor_w then 1
                when j.undimmed or j.v_max >= 99.5 or j.v_max < 1 then 2
                else 3
           end::smallint,
           j.bright and j.p_max < 0.2 * j.rated
    from refined j where j.bucket >= since;
end $$;
comment on function qytet.lamp_bucket(text[], text[], text[], text[], integer[], double precision[], timestamptz, timestamptz,
                                       boolean) is
    'Of the lamps with these ids and rated powers: a quarter (fine) or hour that begins in [since, till) and has a good reading of its power: mean level (%), mean '
    'and expected power (W), rated power (W), state as in qytet.lamp_state; rests: off all the while, in daylight.';

create function qytet.lamp_resolution(lamps bigint, wanted text, since timestamptz, till timestamptz) returns text
language plpgsql immutable parallel safe as $$
declare
    buckets constant double precision := lamps * extract(epoch from till - since) / 3600;  -- hours
    fit text := replace(qytet.resolution(wanted, since, till), 'raw', '15min');
begin
    if wanted = 'auto' and fit = '15min' and buckets * 4 > 20000 then fit := 'hour'; end if;
    if wanted = 'auto' and fit = 'hour' and buckets > 20000 then fit := 'day'; end if;
    return fit;
end $$;
comment on function qytet.lamp_resolution(bigint, text, timestamptz, timestamptz) is
    'qytet.resolution for so many lamps: 15min or more, and auto is coarser for many, up to 20,000 buckets.';

create function qytet.lamp_state(cities text[], sites text[], devices text[], channels text[], since timestamptz,
                                 till timestamptz, wanted text)
returns table ("time" timestamptz, city text, site text, device text, channel text, label text, level double precision,
               power double precision, expected double precision, state smallint)
language plpgsql stable parallel safe
set plan_cache_mode = force_custom_plan set jit = off set enable_mergejoin = off set enable_nestloop = off
set max_parallel_workers_per_gather = 0 as $$
#variable_conflict use_column
declare
    fit constant text := qytet.lamp_resolution(
        (select count(*) from qytet.lamp(cities, sites, devices, channels)), wanted, since, till);
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
    fit constant text := qytet.lamp_resolution(
        (select count(*) from qytet.lamp(cities, sites, devices, channels)), wanted, since, till);
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
    fit constant text := qytet.lamp_resolution(
        (select count(*) from qytet.lamp(cities, sites, devices, '{*}')), wanted, since, till);
    streams constant integer[] := qytet.streams(cities, sites, devices, '{*}', '{lamp_active_power,lamp_dimming_level}');
begin
    return query
    with day as materialized (
        select * from qytet.lamp_day(cities, sites, devices, '{*}', since, till)
    ), lamp as materialized (
        select l.lamp, l.city, l.power, l.level, y.rated
        from qytet.lamp(cities, sites, devices, '{*}') l
        left join (select y.lamp, max(y.rated) as rated from day y group by 1) y using (lamp)
    ), member as materialized (
        select i as id, l.city, true as power, 0.036 * l.rated as watts, null::double precision as at_least, null::double precision as by_level
        from lamp l cross join unnest(l.power) i
        union all
        select i, l.city, false, null, 0.5 + (l.rated - 0.5) * 0.05, (l.rated - 0.5) * 0.0095
        from lamp l cross join unnest(l.level) i
    ), part as (
        select o.datastream_id, o.bucket, o.mean, o.min, o.max from qytet.observation_15min o
        where fit = '15min' and o.datastream_id = any (streams) and o.bucket >= since and o.bucket < till and o.n > 0
        union all
        select o.datastream_id, o.bucket, o.mean, o.min, o.max from qytet.observation_hour o
        where fit = 'hour' and o.datastream_id = any (streams) and o.bucket >= since and o.bucket < till and o.n > 0
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

create function qytet.light_power(cities text[], sites text[], devices text[], since timestamptz, till timestamptz,
                                  wanted text)
returns table ("time" timestamptz, city text, power double precision, scheduled double precision, lamps_on bigint,
               lamps_dark bigint)
language plpgsql stable parallel safe
set plan_cache_mode = force_custom_plan set jit = off set enable_mergejoin = off set enable_nestloop = off
set max_parallel_workers_per_gather = 0 as $$
#variable_conflict use_column
declare
    fit constant text := qytet.lamp_resolution(
        (select count(*) from qytet.lamp(cities, sites, devices, '{*}')), wanted, since, till);
    origin constant timestamptz := case fit when 'day' then date_trunc('day', since, 'Europe/Tirane') else since end;
    lamps integer[]; ratings double precision[];
begin
    select array_agg(y.lamp), array_agg(y.rated) into lamps, ratings
    from (select y.lamp, max(y.rated) as rated from qytet.lamp_day(cities, sites, devices, '{*}', since, till) y
          group by y.lamp having bool_or(y.doubtful)) y;
    return query
    with dark as (
        select case when fit = 'day' then date_trunc('day', b."time", 'Europe/Tirane') else b."time" end as "time", l.city,
               count(distinct b.lamp) as lamps
        from qytet.lamp_bucket(cities, sites, devices, '{*}', lamps, ratings, origin, till, fit = '15min') b
        join qytet.lamp(cities, sites, devices, '{*}') l using (lamp) where b.state = 4 group by 1, 2
    )
    select l."time", l.city, l.power, l.scheduled, l.lamps_on, coalesce(d.lamps, 0)
    from qytet.light_drawn(cities, sites, devices, since, till, wanted) l left join dark d using ("time", city)
    order by 1, 2;
end $$;
comment on function qytet.light_power(text[], text[], text[], timestamptz, timestamptz, text) is
    'qytet.light_drawn, and how many lamps are dark.';

-- Civil days of Europe/Tirane are rolled up; those of another zone are put together from hours.
create function qytet.counter_day(streams integer[], since timestamptz, till timestamptz)
returns table (datastream_id integer, "time" timestamptz, delta double precision)
language plpgsql stable parallel safe
set plan_cache_mode = force_custom_plan set jit = off set enable_mergejoin = off set enable_nestloop = off
set max_parallel_workers_per_gather = 0 as $$
#variable_conflict use_column
declare
    near constant integer[] := array(select d.datastream_id from qytet.datastream d join qytet.city c using (city)
                                     where d.datastream_id = any (streams) and c.time_zone = 'Europe/Tirane');
    far constant integer[] := array(select s from unnest(streams) s where s <> all (near));
begin
    return query
    select y.datastream_id, y."time", y.delta
    from qytet.counter_delta(near, date_trunc('day', since, 'Europe/Tirane'), till, 'day') y
    union all
    select h.datastream_id, h.bucket, sum(h.delta)
    from (select h.datastream_id, date_trunc('day', h."time", c.time_zone) as bucket, h.delta
          from unnest(far) f (id)
          join qytet.datastream d on d.datastream_id = f.id
          join qytet.city c on c.city = d.city
          join qytet.counter_delta(far, since - interval '25 hours', till + interval '25 hours', 'hour') h
              on h.datastream_id = f.id
          where h."time" >= date_trunc('day', since, c.time_zone)) h
    where h.bucket < till
    group by 1, 2;
end $$;
comment on function qytet.counter_day(integer[], timestamptz, timestamptz) is
    'What a counter counted on each civil day of its city that touches [since, till), in the counter''s unit.';

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

create function qytet.light_summary(cities text[])
returns table (city text, lamps bigint, lit bigint, dark bigint, day_burning bigint, cycling bigint,
               off_expectation bigint, unknown bigint)
language sql stable parallel safe as $$
    select l.city, count(*), count(*) filter (where l.state in (2, 3)), count(*) filter (where l.state = 4),
           count(*) filter (where l.state = 5), count(*) filter (where l.state = 6), count(*) filter (where l.state = 7),
           count(*) filter (where l.state = 0)
    from qytet.lamp_now(cities, '{*}', '{*}', '{*}') l group by l.city order by l.city
$$;
comment on function qytet.light_summary(text[]) is
    'A city''s lamps now by state: lit are those on or dimmed without fault; what is missing from `lamps` is off.';
