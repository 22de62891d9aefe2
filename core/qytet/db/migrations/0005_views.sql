-- The views that everything above the database reads. Their names and columns are the same on every tier.
create view qytet.city as
select slug as city, name, time_zone, lat, lon from store.city;

create view qytet.property as
select property, domain, ucum, fail_min, fail_max, suspect_min, suspect_max, agg, sampling, core, sdm, cf_name, reference
from store.property;

create view qytet.site as
select c.slug as city, s.slug as site, s.name, s.lat, s.lon, s.height_m
from store.site s join store.city c using (city_id);

create view qytet.device as
select d.device_id, d.name as device, c.slug as city, s.slug as site, s.name as site_name, s.lat, s.lon, d.profile,
       g.name as gateway, lower(d.valid) as valid_from, upper(d.valid) as valid_to,
       coalesce(t.state, 'unknown') as state, t.state_at, t.boot, t.firmware, t.board, t.birth_at,
       greatest(t.birth_at, t.state_at, y.last_seen) as seen_at
from store.device d
join store.site s using (site_id)
join store.city c using (city_id)
left join store.device g on g.device_id = d.gateway_id
left join store.device_status t on t.device_id = d.device_id
left join lateral (select max(last_seen) as last_seen from store.delivery where device_id = d.device_id) y on true;

create view qytet.datastream as
select ds.datastream_id, d.name as device, c.slug as city, s.slug as site, d.profile, ds.property, ds.channel,
       ds.property || case when ds.channel = '' then '' else ':' || ds.channel end as key,
       p.domain, p.ucum, p.agg, p.fail_min, p.fail_max, p.suspect_min, p.suspect_max,
       lower(ds.valid) as valid_from, upper(ds.valid) as valid_to
from store.datastream ds
join store.device d using (device_id)
join store.site s using (site_id)
join store.city c using (city_id)
join store.property p using (property);

create view qytet.observation as
select datastream_id, phenomenon_time, value, quality, time_quality from store.observation;

create view qytet.reading as
select ds.city, ds.site, ds.device, ds.property, ds.channel, ds.key, ds.ucum, o.phenomenon_time, o.value, o.quality,
       o.time_quality, o.datastream_id
from store.observation o join qytet.datastream ds using (datastream_id);

create view qytet.latest as
select ds.datastream_id, ds.city, ds.site, ds.device, ds.profile, ds.domain, ds.property, ds.channel, ds.key, ds.ucum,
       l.phenomenon_time, l.value, l.quality, l.time_quality
from store.latest l join qytet.datastream ds using (datastream_id);

create function store.accounted(received int8multirange, rejected int8multirange, dropped int8multirange)
returns int8multirange language sql immutable parallel safe return received + rejected + dropped;

create function store.size(seqs int8multirange) returns bigint language sql immutable parallel safe
return coalesce((select sum(upper(r) - lower(r)) from unnest(seqs) r), 0)::bigint;

create view qytet.delivery as
select d.name as device, c.slug as city, y.boot,
       coalesce(upper(a.all_seqs) - 1, 0) as last_seq,
       coalesce((select upper(r) - 1 from unnest(a.all_seqs) r where r @> 1::bigint), 0) as stored_mark,
       store.size(y.received) as received, store.size(y.rejected) as rejected, store.size(y.dropped - y.received - y.rejected) as dropped,
       store.size(int8multirange(int8range(1, greatest(upper(a.all_seqs), 1))) - a.all_seqs) as missing,
       y.duplicates, y.late, y.first_seen, y.last_seen
from store.delivery y
join store.device d using (device_id)
join store.site s using (site_id)
join store.city c using (city_id)
cross join lateral (select store.accounted(y.received, y.rejected, y.dropped) as all_seqs) a;

create view qytet.delivery_gap as
select d.name as device, c.slug as city, y.boot, g.state,
       lower(g.seqs) as first_seq, upper(g.seqs) - 1 as last_seq, upper(g.seqs) - lower(g.seqs) as records, y.last_seen
from store.delivery y
join store.device d using (device_id)
join store.site s using (site_id)
join store.city c using (city_id)
cross join lateral (select store.accounted(y.received, y.rejected, y.dropped) as all_seqs) a
cross join lateral (
    select 'missing' as state, unnest(int8multirange(int8range(1, greatest(upper(a.all_seqs), 1))) - a.all_seqs) as seqs
    union all
    select 'dropped', unnest(y.dropped - y.received - y.rejected)  -- what came after all is not lost
) g;

create view qytet.dead_letter as
select dead_letter_id, first_seen, last_seen, seen, topic, payload, reason, detail, device, replayed_at, outcome
from store.dead_letter;

create view qytet.undated as
select d.name as device, u.boot, u.seq, u.up_ms, u.m, u.received_at
from store.undated u join store.device d using (device_id);

create view qytet.device_log as
select d.name as device, l.received_at, l.boot, l.up_ms, l.level, l.message
from store.device_log l join store.device d using (device_id);

-- Readers see views only; a view reads with its owner's rights.
do $$ begin
    if not exists (select from pg_roles where rolname = 'qytet_read') then
        create role qytet_read nologin;
    end if;
exception when duplicate_object or unique_violation then null;
end $$;
grant usage on schema qytet to qytet_read;
grant select on all tables in schema qytet to qytet_read;
alter default privileges in schema qytet grant select on tables to qytet_read;
