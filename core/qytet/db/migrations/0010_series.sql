-- What panels show of any property: the datastreams that are meant, their buckets in the resolution that fits the range,
-- the newest values, and the consumption that a counter's readings say.
-- Rollups are asked for `datastream_id = any(array)`, never joined: only so do they answer from their index. Plans are
-- made anew each time, since one for a single device is the worst for all of them; no answer is worth compiling (jit).
create function qytet.chosen(value text, wanted text[]) returns boolean language sql immutable parallel safe
return wanted @> '{*}' or value = any(wanted);
comment on function qytet.chosen(text, text[]) is
    'Whether a value is among those wanted; {*} wants all, {} none.';

-- Raw readings are for hours and quarters for weeks, whoever asks: more of them no screen can show.
create function qytet.resolution(wanted text, since timestamptz, till timestamptz) returns text
language plpgsql immutable parallel safe as $$
begin
    if wanted is null or wanted not in ('auto', 'raw', '15min', 'hour', 'day') then
        raise invalid_parameter_value using
            message = format('The resolution %L is not known.', wanted), hint = 'Say auto, raw, 15min, hour or day.';
    end if;
    return case
        when till - since <= interval '6 hours' and wanted = 'auto' then 'raw'
        when till - since <= interval '2 days' and wanted = 'raw' then 'raw'
        when till - since <= interval '8 days' and wanted in ('auto', 'raw') then '15min'
        when till - since <= interval '62 days' and wanted in ('15min', 'raw') then '15min'
        when till - since <= interval '62 days' and wanted = 'auto' then 'hour'
        when wanted in ('auto', 'day') then 'day'
        else 'hour'
    end;
end $$;
comment on function qytet.resolution(text, timestamptz, timestamptz) is
    'The resolution that a range gets: raw, 15min, hour or day. auto: raw up to 6 h, 15min up to 8 days, hour up to 62 '
    'days, else day. A wish is granted but for raw over more than 2 days and 15min over more than 62, which get the next.';

-- The registry is small and asked by each function: planning it anew each time took longer than the asking.
create function qytet.streams(cities text[], sites text[], devices text[], channels text[], properties text[])
returns integer[] language plpgsql stable parallel safe set plan_cache_mode = force_generic_plan as $$
begin
    return (
        select coalesce(array_agg(d.datastream_id order by d.datastream_id), '{}')
        from qytet.datastream d
        where qytet.chosen(d.city, cities) and qytet.chosen(d.site, sites) and qytet.chosen(d.device, devices)
          and qytet.chosen(case d.channel when '' then '-' else d.channel end, channels)
          and qytet.chosen(d.property, properties));
end $$;
comment on function qytet.streams(text[], text[], text[], text[], text[]) is
    'Ids of the datastreams of these cities, sites, devices, channels (- is none) and properties; {*} means all.';

-- Inlined where it is called, so that of the four only the one that fits is planned.
create function qytet.buckets(streams integer[], since timestamptz, till timestamptz, fit text)
returns table (datastream_id integer, "time" timestamptz, mean double precision, min double precision,
               max double precision, sum double precision, first double precision, last double precision, n bigint)
language sql stable parallel safe as $$
    select o.datastream_id, o.phenomenon_time, g.value, g.value, g.value, g.value, g.value, g.value,
           (g.value is not null)::integer::bigint
    from qytet.observation o cross join lateral (select case when o.quality <= 2 then o.value end as value) g
    where fit = 'raw' and o.datastream_id = any (streams) and o.phenomenon_time >= since and o.phenomenon_time < till
    union all
    select o.datastream_id, o.bucket, o.mean, o.min, o.max, o.sum, o.first, o.last, o.n
    from qytet.observation_15min o
    where fit = '15min' and o.datastream_id = any (streams) and o.bucket >= since and o.bucket < till
    union all
    select o.datastream_id, o.bucket, o.mean, o.min, o.max, o.sum, o.first, o.last, o.n
    from qytet.observation_hour o
    where fit = 'hour' and o.datastream_id = any (streams) and o.bucket >= since and o.bucket < till
    union all
    select o.datastream_id, o.bucket, o.mean, o.min, o.max, o.sum, o.first, o.last, o.n
    from qytet.observation_day o
    where fit = 'day' and o.datastream_id = any (streams) and o.bucket >= since and o.bucket < till
$$;
comment on function qytet.buckets(integer[], timestamptz, timestamptz, text) is
    'Buckets of raw, 15min, hour or day that begin in [since, till), one row a datastream and bucket (raw: the reading), '
    'in no order. What is suspect, failed or missing counts for nothing: without a good value n is 0, all else null.';

create function qytet.series(streams integer[], since timestamptz, till timestamptz, wanted text)
returns table (datastream_id integer, "time" timestamptz, mean double precision, min double precision,
               max double precision, sum double precision, last double precision, n bigint)
language plpgsql stable parallel safe
set plan_cache_mode = force_custom_plan set max_parallel_workers_per_gather = 0 set jit = off set work_mem = '16MB' as $$
#variable_conflict use_column
declare
    fit text := qytet.resolution(wanted, since, till);
begin
    return query select b.datastream_id, b."time", b.mean, b.min, b.max, b.sum, b.last, b.n
    from qytet.buckets(streams, since, till, fit) b order by 2;
end $$;
comment on function qytet.series(integer[], timestamptz, timestamptz, text) is
    'qytet.buckets in the resolution that fits, by time.';

create function qytet.line(streams integer[])
returns table (datastream_id integer, city text, site text, device text, channel text, label text, place bigint)
language sql stable parallel safe as $$
    select l.*, row_number() over (order by l.label)
    from (select datastream_id, city::text, site::text, device::text, channel,
                 device || case channel when '' then '' else ' · ' || channel end as label
          from qytet.datastream where datastream_id = any (streams)) l
$$;
comment on function qytet.line(integer[]) is
    'The names of these datastreams and their place by label: numbers sort faster than labels.';

create function qytet.property_series(cities text[], sites text[], devices text[], channels text[], property text,
                                      since timestamptz, till timestamptz, wanted text)
returns table ("time" timestamptz, city text, site text, device text, channel text, label text, mean double precision,
               min double precision, max double precision, sum double precision, last double precision, n bigint)
language plpgsql stable parallel safe
set plan_cache_mode = force_custom_plan set max_parallel_workers_per_gather = 0 set jit = off set work_mem = '16MB' as $$
#variable_conflict use_column
declare
    streams integer[] := qytet.streams(cities, sites, devices, channels, array[property]);
    fit text := qytet.resolution(wanted, since, till);
begin
    return query select b."time", d.city, d.site, d.device, d.channel, d.label, b.mean, b.min, b.max, b.sum, b.last, b.n
    from qytet.buckets(streams, since, till, fit) b join qytet.line(streams) d using (datastream_id)
    order by b."time", d.place;
end $$;
comment on function qytet.property_series(text[], text[], text[], text[], text, timestamptz, timestamptz, text) is
    'One property''s buckets by device and channel: qytet.series with names; label is "device" or "device · channel".';

-- Readings of many devices have no instant in common: the finest here are quarters.
create function qytet.city_series(cities text[], property text, since timestamptz, till timestamptz, wanted text)
returns table ("time" timestamptz, city text, mean double precision, min double precision, max double precision,
               sum double precision, n bigint, devices bigint)
language plpgsql stable parallel safe
set plan_cache_mode = force_custom_plan set max_parallel_workers_per_gather = 0 set jit = off set work_mem = '16MB' as $$
#variable_conflict use_column
declare
    streams integer[] := qytet.streams(cities, '{*}', '{*}', '{*}', array[property]);
    fit text := replace(qytet.resolution(wanted, since, till), 'raw', '15min');
begin
    return query with stream as (
        select datastream_id, city::text, dense_rank() over (order by city) as place,
               min(datastream_id) over (partition by device) as one
        from qytet.datastream where datastream_id = any (streams)
    ), device as (  -- first by device, since one with several channels counts once
        select b."time", s.place, sum(b.sum) as sum, sum(b.n::integer) as n, min(b.min) as min, max(b.max) as max
        from qytet.buckets(streams, since, till, fit) b join stream s using (datastream_id)
        group by b."time", s.place, s.one
    )
    select d."time", c.city, sum(d.sum) / nullif(sum(d.n), 0)::double precision, min(d.min), max(d.max), sum(d.sum),
           sum(d.n)::bigint, count(*) filter (where d.n > 0)
    from device d join (select distinct place, city from stream) c using (place)
    group by d."time", d.place, c.city order by d."time", d.place;
end $$;
comment on function qytet.city_series(text[], text, timestamptz, timestamptz, text) is
    'One property''s buckets of 15 min or more by city: mean of all good readings, sum of the devices'' sums, and how many '
    'devices have a good reading in the bucket.';

create function qytet.now(cities text[], sites text[], devices text[], channels text[], property text)
returns table (city text, site text, site_name text, device text, channel text, label text, lat double precision,
               lon double precision, "time" timestamptz, value double precision, quality smallint,
               age_s double precision)
language plpgsql stable parallel safe
set plan_cache_mode = force_custom_plan set max_parallel_workers_per_gather = 0 set jit = off set work_mem = '16MB' as $$
#variable_conflict use_column
declare
    streams integer[] := qytet.streams(cities, sites, devices, channels, array[property]);
begin
    return query select l.city::text, l.site::text, s.name, l.device::text, l.channel,
                        l.device || case l.channel when '' then '' else ' · ' || l.channel end, s.lat, s.lon,
                        l.phenomenon_time, l.value, l.quality,
                        extract(epoch from now() - l.phenomenon_time)::double precision
    from qytet.latest l
    join qytet.datastream d using (datastream_id)
    join qytet.site s on s.city = l.city and s.site = l.site
    where l.datastream_id = any (streams) and (d.valid_to is null or d.valid_to > now())
    order by 1, 6;
end $$;
comment on function qytet.now(text[], text[], text[], text[], text) is
    'The newest reading of each datastream that is in service, whatever its quality, with its place and its age in seconds.';

-- Chosen by the newest reading: to choose by the range, the buckets of all would be read.
create function qytet.foremost(cities text[], sites text[], devices text[], channels text[], property text,
                               most integer, lowest boolean)
returns integer[] language sql stable parallel safe as $$
    select coalesce(array_agg(d.datastream_id order by d.datastream_id), '{}')
    from qytet.datastream d
    join (select n.device, n.channel from qytet.now(cities, sites, devices, channels, property) n
          order by case when not lowest then n.value end desc nulls last, case when lowest then n.value end nulls last,
                   n.label limit most) f on f.device = d.device and f.channel = d.channel
    where d.property = foremost.property
$$;
comment on function qytet.foremost(text[], text[], text[], text[], text, integer, boolean) is
    'Ids of the datastreams of so many devices'' channels as have the highest (or lowest) newest reading of a property, with '
    'those that a replaced sensor ended.';

-- A panel has a few hundred points across, and twenty lines of hours are more than it can draw or a browser likes.
create function qytet.lines(streams integer[], since timestamptz, till timestamptz, wanted text)
returns table ("time" timestamptz, label text, mean double precision, min double precision, max double precision,
               sum double precision, n bigint)
language plpgsql stable parallel safe
set plan_cache_mode = force_custom_plan set max_parallel_workers_per_gather = 0 set jit = off set work_mem = '16MB' as $$
#variable_conflict use_column
declare
    fit text := qytet.resolution(wanted, since, till);
begin
    if wanted = 'auto' and fit = 'hour' and cardinality(streams) * extract(epoch from till - since) / 3600 > 12000 then
        return query select g."time", l.label, g.sum / nullif(g.n, 0)::double precision, g.min, g.max, g.sum, g.n
        from (select b.datastream_id, date_bin('3 hours', b."time", timestamptz '2000-01-01T00:00Z') as "time",
                     sum(b.sum) as sum, sum(b.n)::bigint as n, min(b.min) as min, max(b.max) as max
              from qytet.buckets(streams, since, till, fit) b group by 1, 2) g
        join qytet.line(streams) l using (datastream_id) order by g."time", l.place;
    else
        return query select b."time", l.label, b.mean, b.min, b.max, b.sum, b.n
        from qytet.buckets(streams, since, till, fit) b join qytet.line(streams) l using (datastream_id)
        order by b."time", l.place;
    end if;
end $$;
comment on function qytet.lines(integer[], timestamptz, timestamptz, text) is
    'These datastreams'' buckets with their label ("device" or "device · channel"), by time and label. auto is coarser than '
    'elsewhere for many lines: of more than 12,000 hours it makes steps of three (of UTC; the first may begin before since).';

-- In a bucket: from first to last, or by way of the greatest where the counter began again at zero. To the next bucket:
-- up to its first. If it began again and has passed the greatest since, the way up to the reset is not known and not counted.
create function qytet.counter_delta(streams integer[], since timestamptz, till timestamptz, wanted text)
returns table (datastream_id integer, "time" timestamptz, delta double precision)
language plpgsql stable parallel safe
set plan_cache_mode = force_custom_plan set max_parallel_workers_per_gather = 0 set jit = off set work_mem = '16MB' as $$
#variable_conflict use_column
declare
    fit text := qytet.resolution(wanted, since, till);
begin
    return query with bucket as (
        select b.datastream_id, b."time", b.first, b.last, b.min, b.max
        from qytet.buckets(streams, since, till, fit) b where b.n > 0
    ), beyond as (  -- what the last bucket's way goes to, however far
        select w.stream, o.first
        from unnest(streams) w (stream)
        cross join lateral (
            select b.first from qytet.buckets(array[w.stream], till, 'infinity', fit) b where b.n > 0
            order by b."time" limit 1) o
        where till < now()
    ), step as (
        select b.datastream_id, b."time", b.first, b.last, b.min, b.max,
               lead(b.first) over (partition by b.datastream_id order by b."time") as next
        from bucket b
    )
    select s.datastream_id, s."time",
           case when s.last < s.max then s.max - s.first + s.last
                when s.min < s.first then s.last
                else s.last - s.first end
           + case when n.first is null then 0 when n.first >= s.last then n.first - s.last else n.first end
    from step s
    left join beyond y on y.stream = s.datastream_id and s.next is null
    cross join lateral (select coalesce(s.next, y.first) as first) n
    order by 2;
end $$;
comment on function qytet.counter_delta(integer[], timestamptz, timestamptz, text) is
    'What a counter counted from each bucket''s first good reading to the next bucket''s, in the counter''s unit: never '
    'negative, a reset counts from zero, and the parts of a range add up to the whole.';

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
