-- The fleet: who has been heard and when, what is silent and why, and what happened to devices.
create index delivery_first_seen on store.delivery (first_seen);
create index device_log_received on store.device_log (received_at);

-- Silence is judged over whole cities, whoever asks: only so can one say that a city, and not a device, is silent.
create function qytet.fleet(cities text[], sites text[], devices text[])
returns table (city text, site text, site_name text, device text, profile text, gateway text, firmware text, board text,
               state text, status smallint, seen_at timestamptz, silent_s double precision, interval_s double precision,
               rssi double precision, battery_level double precision, battery_voltage double precision,
               backlog_records double precision, boots_24h bigint, missing bigint, lat double precision,
               lon double precision)
language plpgsql stable parallel safe
set plan_cache_mode = force_custom_plan set max_parallel_workers_per_gather = 0 set jit = off as $$
#variable_conflict use_column
begin
    return query
    with member as materialized (
        select d.city::text, d.site::text, d.site_name, d.device::text, d.profile, d.gateway::text, d.firmware, d.board,
               d.state, coalesce(d.birth_at, d.state_at) as announced_at, d.lat, d.lon
        from qytet.device d
        where qytet.chosen(d.city, cities) and d.valid_from <= now() and (d.valid_to is null or d.valid_to > now())
    ), heard as materialized (
        select y.device::text, max(y.last_seen) as last_seen from qytet.delivery y group by 1
    ), pace as materialized (  -- what came late, after an outage, tells nothing of the usual distance
        select h.device::text,
               extract(epoch from least(now(), max(h.hour) + interval '1 hour') - min(h.hour)) as span,
               sum(greatest(h.received - h.late, 0)) as records, count(*) as hours
        from qytet.delivery_hour h
        where h.hour >= date_trunc('hour', now() - interval '25 hours', 'UTC') and h.received > h.late
        group by 1
    ), seen as materialized (
        select m.*, coalesce(h.last_seen, m.announced_at) as seen_at,
               -- Who sleeps sends what it has gathered at once: what counts is how many hours bring something.
               case when p.records < 2 or p.records is null then null
                    when m.state = 'sleeping' then greatest(p.span / p.hours, 3600)
                    else p.span / p.records end::double precision as interval_s
        from member m left join heard h using (device) left join pace p using (device)
    ), placed as materialized (  -- a gateway that measures nothing is heard through those it relays
        select s.*, case when h.device is null then greatest(s.seen_at, r.seen_at) else s.seen_at end as heard_at
        from seen s
        left join heard h using (device)
        left join (select gateway, max(seen_at) as seen_at from seen where gateway is not null group by gateway) r
               on r.gateway = s.device
    ), judged as materialized (
        select p.*, extract(epoch from now() - p.heard_at)::double precision as silent_s,
               coalesce(now() - p.heard_at > greatest(
                   make_interval(secs => 3 * coalesce(p.interval_s, case p.state when 'sleeping' then 28800 else 900 end)),
                   interval '5 minutes'), false) as silent
        from placed p
    ), blamed as (
        select j.*, j.silent and (
                   coalesce(g.silent, false)
                   or count(*) filter (where j.silent) over c >= 2
                   and count(*) filter (where j.silent) over c >= 0.8 * count(j.heard_at) over c) as hidden
        from judged j left join (select device, silent from judged) g on g.device = j.gateway
        window c as (partition by j.city)
    ), health as materialized (
        select l.device::text, max(l.value) filter (where l.property = 'rssi') as rssi,
               max(l.value) filter (where l.property = 'battery_level') as battery_level,
               max(l.value) filter (where l.property = 'battery_voltage') as battery_voltage,
               max(l.value) filter (where l.property = 'backlog_records') as backlog_records
        from qytet.latest l
        where l.property in ('rssi', 'battery_level', 'battery_voltage', 'backlog_records')
          and l.quality <= 3  -- a battery below 10 % is suspect by the catalogue, and just what is asked for
        group by 1
    ), boot as materialized (
        select y.device::text, count(*) as boots from qytet.delivery y
        where y.first_seen > now() - interval '24 hours' group by 1
    )
    select b.city, b.site, b.site_name, b.device, b.profile, b.gateway, b.firmware, b.board, b.state,
           case when b.heard_at is null then 0 when b.hidden then 4 when b.silent then 3 when b.state = 'sleeping' then 5
                when b.silent_s > greatest(1.5 * coalesce(b.interval_s, 900), 150) then 2 else 1 end::smallint,
           b.heard_at, b.silent_s, coalesce(b.interval_s, 900), h.rssi, h.battery_level, h.battery_voltage,
           h.backlog_records, coalesce(t.boots, 0), g.missing, b.lat, b.lon
    from blamed b
    left join health h using (device)
    left join boot t using (device)
    left join lateral (select y.missing from qytet.delivery_hour y where y.device = b.device
                       order by y.hour desc limit 1) g on true
    where qytet.chosen(b.site, sites) and qytet.chosen(b.device, devices)
    order by 1, 4;
end $$;
comment on function qytet.fleet(text[], text[], text[]) is
    'A device in service. status: 0 never seen, 1 ok, 2 late (1.5 intervals), 3 silent (3 intervals, at least 5 min), 4 silent '
    'as its gateway or city is, 5 asleep. seen_at: arrival of its last record, or its birth if none came (of a gateway without '
    'records of its own, the last of those it relays); interval_s: usual distance of its records in the last 25 hours, 900 '
    'if unknown. rssi (dBm), battery (%, V), records that wait in the device, boots in 24 hours, records missing.';

create view qytet.outage as
with device as materialized (
    select f.city, f.device, f.gateway, f.status in (3, 4) as silent, f.seen_at
    from qytet.fleet('{*}', '{*}', '{*}') f where f.status > 0
), city as (
    select city, count(*) filter (where silent) as devices, max(seen_at) filter (where silent) as since
    from device group by city
    having count(*) filter (where silent) >= 2 and count(*) filter (where silent) >= 0.8 * count(*)
), alone as (
    select d.*, exists (select from device r where r.gateway = d.device) as relays
    from device d
    left join device g on g.device = d.gateway
    where d.silent and not coalesce(g.silent, false) and d.city not in (select city from city)
)
select o.city, o.cause, o.subject, o.devices, o.since, extract(epoch from now() - o.since)::double precision as lasting_s
from (
    select city, 'city' as cause, city as subject, devices, since from city
    union all
    select a.city, case when a.relays then 'gateway' else 'device' end, a.device,
           1 + (select count(*) from device r where r.gateway = a.device and r.silent), a.seen_at
    from alone a
) o;
comment on view qytet.outage is
    'An outage now, one row: a city (80 % of its devices that were ever seen are silent, at least two), a gateway with those '
    'behind it, or a device; how many devices are silent, since when nothing has come, and for how many seconds. What a '
    'greater outage explains has no row of its own.';

-- The hours alone: names cost a reader more than the rows.
create view qytet.heard_hour as select device_id, hour, received from store.delivery_hour;
comment on view qytet.heard_hour is 'qytet.delivery_hour by the number of qytet.device, without names.';

create function qytet.fleet_hour(cities text[], sites text[], devices text[], since timestamptz, till timestamptz,
                                 most bigint default null)
returns table ("time" timestamptz, city text, device text, online smallint)
language plpgsql stable parallel safe
set plan_cache_mode = force_custom_plan set max_parallel_workers_per_gather = 0 set jit = off as $$
#variable_conflict use_column
begin
    return query
    with member as materialized (
        select d.device_id, d.city::text, d.device::text, greatest(d.valid_from, f.began) as began, d.valid_to as ended
        from qytet.device d
        left join (select y.device, date_trunc('hour', min(y.first_seen), 'UTC') as began
                   from qytet.delivery y group by 1) f using (device)
        where qytet.chosen(d.city, cities) and qytet.chosen(d.site, sites) and qytet.chosen(d.device, devices)
    ), rarest as materialized (
        select m.*, h.hours, row_number() over (order by m.device) as place
        from member m
        left join (select y.device_id, array_agg(y.hour) as hours, count(*) filter (where y.received > 0) as received
                   from qytet.heard_hour y where y.hour >= since and y.hour < till group by 1) h using (device_id)
        order by coalesce(h.received, 0), m.device limit most
    ), arrival as materialized (
        select r.place, a as hour from rarest r cross join unnest(r.hours) a
    )
    select t, m.city, m.device, (a.hour is not null)::integer::smallint
    from rarest m
    cross join lateral generate_series(date_bin('1 hour', since + interval '1 hour' - interval '1 microsecond',
                                                timestamptz '2000-01-01T00:00Z'),
                                       least(till - interval '1 microsecond', now()), interval '1 hour') t
    left join arrival a on a.place = m.place and a.hour = t
    where (m.began is null or t >= m.began) and (m.ended is null or t < m.ended)
    order by 1, m.place;
end $$;
comment on function qytet.fleet_hour(text[], text[], text[], timestamptz, timestamptz, bigint) is
    'A device''s hour that begins in [since, till), from its first record on: online 1 if anything of it arrived, else 0. '
    'most: only of so many devices, those that were heard in the fewest hours.';

-- Words of a device stay out: a log shows as its level and how many of it came in the minute.
create view qytet.fleet_event as
select e."time", c.slug::text as city, d.name::text as device, e.kind, e.text
from (
    select y.first_seen as "time", y.device_id, 'boot' as kind, y.boot as text from store.delivery y
    union all
    select k.asked_at, k.device_id, 'command', k.name || ' ' || k.state from store.command k
    union all
    select h.hour, h.device_id, 'late_data', h.late::text from store.delivery_hour h where h.late > 0
    union all
    select l.received_at, l.device_id, 'log', l.level from store.device_log l
) e
join store.device d using (device_id)
join store.site s using (site_id)
join store.city c using (city_id);
comment on view qytet.fleet_event is
    'What happened to a device: boot (text: its id; when its first record came), command (name and state; when it was asked), '
    'late_data (how many late records came in the hour), log (its level, without its words).';

create function qytet.event(cities text[], devices text[], since timestamptz, till timestamptz)
returns table ("time" timestamptz, city text, device text, kind text, text text)
language sql stable parallel safe as $$
    select n.* from (
        select case e.kind when 'log' then date_trunc('minute', e."time") else e."time" end as "time", e.city, e.device,
               e.kind, case e.kind when 'log' then e.text || ' ' || count(*) else e.text end as text
        from qytet.fleet_event e
        where e."time" >= since and e."time" < till and qytet.chosen(e.city, cities) and qytet.chosen(e.device, devices)
        group by 1, 2, 3, 4, e.text order by 1 desc limit 500
    ) n order by 1, 3
$$;
comment on function qytet.event(text[], text[], timestamptz, timestamptz) is
    'The newest 500 events of devices in [since, till), as in qytet.fleet_event; logs are counted by minute and level.';

grant select on qytet.outage, qytet.fleet_event, qytet.heard_hour to qytet_dashboards;
