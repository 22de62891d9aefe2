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
language plpgsql stable parallel safe rows 100 set plan_cache_mode = force_generic_plan as $$
#variable_conflict use_column
begin
    return query
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
    where g.lamp is not null;
end $$;
comment on function qytet.lamp(text[], text[], text[], text[]) is
    'A lamp: a device''s channel with a power or a level, known by the lowest id of those datastreams; the ids of its power, '
    'level, power factor and of its own or its controller''s supply voltage; `ended` when it is out of service.';

-- Where a meter was replaced, two streams of a lamp share a bucket: it is the successor's, or the lamp would count twice.
create function qytet.lamp_replaced(streams integer[], out ended integer[], out ends timestamptz[])
language plpgsql stable parallel safe set plan_cache_mode = force_generic_plan as $$
begin
    select coalesce(array_agg(d.datastream_id), '{}'), coalesce(array_agg(d.valid_to), '{}') into ended, ends
    from qytet.datastream d
    where d.datastream_id = any (streams) and d.valid_to is not null
      and exists (select from qytet.datastream n
                  where n.device = d.device and n.property = d.property and n.channel = d.channel
                    and n.valid_from >= d.valid_to and n.valid_from < d.valid_to + interval '1 day');
end $$;
comment on function qytet.lamp_replaced(integer[]) is
    'Those of the datastreams that another followed within a day, and when they ended.';

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
    ended integer[]; ends timestamptz[];
begin
    select r.ended, r.ends into ended, ends from qytet.lamp_replaced(streams) r;
    return query
    with lamp as materialized (select * from qytet.lamp(cities, sites, devices, channels)),
    part as materialized (
        select o.datastream_id, o.bucket, o.n, o.mean, o.max from qytet.observation_day o
        where o.datastream_id = any (streams) and o.bucket >= least(first_day, till - interval '36 days')
          and o.bucket < till and o.n > 0
          and (o.datastream_id <> all (ended)
               or o.bucket < date_trunc('day', ends[array_position(ended, o.datastream_id)], 'Europe/Tirane'))
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
    ended integer[]; ends timestamptz[];
begin
    select r.ended, r.ends into ended, ends from qytet.lamp_replaced(streams) r;
    if fine then
        return query select o.datastream_id, o.bucket, o.n, o.mean, o.min, o.max from qytet.observation_15min o
        where o.datastream_id = any (everything) and o.bucket >= since and o.bucket < till and o.n > 0
          and (o.min < 100 or o.datastream_id <> all (voltages))
          and (o.datastream_id <> all (ended)
               or o.bucket + interval '15 minutes' <= ends[array_position(ended, o.datastream_id)]);
    else
        return query select o.datastream_id, o.bucket, o.n, o.mean, o.min, o.max from qytet.observation_hour o
        where o.datastream_id = any (everything) and o.bucket >= since and o.bucket < till and o.n > 0
          and (o.min < 100 or o.datastream_id <> all (voltages))
          and (o.datastream_id <> all (ended)
               or o.bucket + interval '1 hour' <= ends[array_position(ended, o.datastream_id)]);
    end if;
end $$;
comment on function qytet.lamp_part(integer[], integer[], timestamptz, timestamptz, boolean) is
    'Buckets with a good value of these datastreams in [since, till): quarters if fine, else hours. Of voltages those only '
    'that fell below 100 V of 230 V, where nothing burns: nearly none. Of a replaced meter not that of its end.';

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
    'Of the lamps with these ids and rated powers: a quarter (fine) or hour that begins in [since, till) and has a good '
    'reading of its power: mean level (%), mean and expected power (W), rated power (W), state as in qytet.lamp_state; rests: '
    'off all the while, in daylight.';

create function qytet.lamp_resolution(cities text[], sites text[], devices text[], channels text[], wanted text,
                                      since timestamptz, till timestamptz)
returns text language plpgsql stable parallel safe as $$
declare
    fit text := replace(qytet.resolution(wanted, since, till), 'raw', '15min');
    hours double precision;
begin
    if wanted = 'auto' and fit <> 'day' then
        hours := (select count(*) from qytet.lamp(cities, sites, devices, channels)) * extract(epoch from till - since) / 3600;
        fit := case when fit = '15min' and hours * 4 <= 20000 then fit when hours <= 20000 then 'hour' else 'day' end;
    end if;
    return fit;
end $$;
comment on function qytet.lamp_resolution(text[], text[], text[], text[], text, timestamptz, timestamptz) is
    'qytet.resolution for these lamps: 15min or more, and auto is coarser for many, up to 20,000 buckets.';
