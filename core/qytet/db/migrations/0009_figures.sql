-- What dashboards read about the platform itself, and the role that reads for them: of the views only those named
-- here and in later migrations, so that it sees no payload, no topic and no text of a device.
do $$ begin
    if not exists (select from pg_roles where rolname = 'qytet_dashboards') then
        create role qytet_dashboards nologin;
    end if;
exception when duplicate_object or unique_violation then null;
end $$;
grant usage on schema qytet to qytet_dashboards;
grant select on qytet.city, qytet.property, qytet.site, qytet.device, qytet.datastream, qytet.observation, qytet.reading,
    qytet.latest, qytet.delivery, qytet.delivery_gap, qytet.observation_15min, qytet.observation_hour,
    qytet.observation_day
    to qytet_dashboards;

-- The ledger counts readings too, from here on; those of earlier records are 0.
alter table store.delivery
    add column readings bigint not null default 0,
    add column suspect bigint not null default 0,
    add column failed bigint not null default 0;
comment on column store.delivery.readings is 'Readings stored of this boot, of which `suspect` (quality 3) and `failed` (4).';

-- What the ledger gained, by device and hour. A trigger writes it, as only the server sees a row before and after at once:
-- so sums equal the ledger's whoever wrote it, and however often a batch was tried.
create table store.delivery_hour (
    hour       timestamptz not null,
    dropped    bigint not null default 0,
    missing    bigint,
    gap_change bigint not null default 0,
    device_id  integer not null references store.device,
    received   integer not null default 0,
    late       integer not null default 0,
    duplicate  integer not null default 0,
    rejected   integer not null default 0,
    readings   integer not null default 0,
    suspect    integer not null default 0,
    failed     integer not null default 0,
    primary key (device_id, hour)
) with (fillfactor = 50);
comment on column store.delivery_hour.missing is 'The gap of all boots, as it was last; null only until the batch that makes the row has looked.';
comment on column store.delivery_hour.gap_change is 'By how much that gap grew in this hour.';
create index delivery_hour_hour on store.delivery_hour (hour);

-- How many numbers a set has; without a call of a function for the usual one, which is a single range.
create function store.width(seqs int8multirange) returns bigint language sql immutable parallel safe
return case when isempty(seqs) then 0
            when seqs = int8multirange(range_merge(seqs)) then upper(seqs) - lower(seqs)
            else store.size(seqs) end;

-- How many numbers below the highest one are lacking.
create function store.gap(accounted int8multirange) returns bigint language sql immutable parallel safe
return case when isempty(accounted) or accounted = int8multirange(int8range(1, upper(accounted))) then 0
            else store.size(int8multirange(int8range(1, upper(accounted))) - accounted) end;

create function store.given_up(received int8multirange, rejected int8multirange, dropped int8multirange)
returns bigint language sql immutable parallel safe
return case when isempty(dropped) then 0 else store.size(dropped - received - rejected) end;

create function store.missing(device integer) returns bigint language sql stable parallel safe
return (select coalesce(sum(store.gap(received + rejected + dropped)), 0)::bigint from store.delivery
        where device_id = device);

-- By how many numbers a set grew. What was added in a batch is a range or two, however many holes the whole has.
create function store.grown(later int8multirange, earlier int8multirange) returns bigint
language sql immutable parallel safe
return case when later = earlier then 0 else store.width(later - earlier) - store.width(earlier - later) end;

-- Adds to a device's hour what its ledger gained: an element a device.
create function store.add_hours(gains store.delivery_hour[]) returns void language plpgsql as $$
declare
    fresh integer[];
begin
    with written as (
        insert into store.delivery_hour as h
            (device_id, hour, received, late, duplicate, rejected, dropped, gap_change, readings, suspect, failed)
        select device_id, hour, received, late, duplicate, rejected, dropped, gap_change, readings, suspect, failed
        from unnest(gains) order by device_id
        on conflict (device_id, hour) do update set
            received = h.received + excluded.received, late = h.late + excluded.late,
            duplicate = h.duplicate + excluded.duplicate, rejected = h.rejected + excluded.rejected,
            dropped = h.dropped + excluded.dropped, missing = h.missing + excluded.gap_change,
            gap_change = h.gap_change + excluded.gap_change, readings = h.readings + excluded.readings,
            suspect = h.suspect + excluded.suspect, failed = h.failed + excluded.failed
        returning device_id, missing
    )
    select array_agg(device_id) into fresh from written where missing is null;
    if fresh is not null then
        update store.delivery_hour set missing = store.missing(device_id)
        where hour = gains[1].hour and device_id = any(fresh);
    end if;
end $$;

create function store.delivery_inserted() returns trigger language plpgsql as $$
begin
    if current_query() ilike 'copy %' then  -- a dump is loaded, and brings its own hours
        return null;
    end if;
    perform store.add_hours(array_agg(row(
        date_trunc('hour', now(), 'UTC'), given_up, null, gap, device_id, received, late, duplicate, rejected, readings,
        suspect, failed)::store.delivery_hour))
    from (
        select device_id, sum(store.width(received)) as received, sum(late) as late, sum(duplicates) as duplicate,
               sum(store.width(rejected)) as rejected, sum(store.given_up(received, rejected, dropped)) as given_up,
               sum(store.gap(received + rejected + dropped)) as gap, sum(readings) as readings,
               sum(suspect) as suspect, sum(failed) as failed
        from inserted
        where not isempty(received) or not isempty(rejected) or not isempty(dropped) or duplicates > 0
        group by device_id
    ) gain;
    return null;
end $$;

-- Written for speed, as every batch waits for it: sets are computed once (`offset 0` keeps the planner from doing it
-- again at each use), a boot without letters and losses takes a short way, and no plan that was made for a batch of one
-- device can turn the join of hundreds into nested loops.
create function store.delivery_updated() returns trigger language plpgsql set enable_nestloop = off as $$
begin
    perform store.add_hours(array_agg(row(
        date_trunc('hour', now(), 'UTC'), dropped, null, gap_change, device_id, received, late, duplicate, rejected,
        readings, suspect, failed)::store.delivery_hour))
    from (
        select device_id, sum(received) as received, sum(late) as late, sum(duplicate) as duplicate,
               sum(rejected) as rejected, sum(dropped) as dropped, sum(gap_change) as gap_change,
               sum(readings) as readings, sum(suspect) as suspect, sum(failed) as failed
        from (
            select device_id, store.width(gain) - store.width(loss) as received, late, duplicate, readings, suspect,
                   failed,
                   case when plain then 0 else store.grown(n_rejected, o_rejected) end as rejected,
                   case when plain then 0
                        else store.grown(n_dropped - n_received - n_rejected, o_dropped - o_received - o_rejected)
                   end as dropped,
                   coalesce(upper(n_all) - 1, 0) - coalesce(upper(o_all) - 1, 0)
                   - case when plain then store.width(gain) - store.width(loss) else store.grown(n_all, o_all) end
                   as gap_change
            from (
                select device_id, n.received - o.received as gain, o.received - n.received as loss,
                       n.received as n_received, n.rejected as n_rejected, n.dropped as n_dropped,
                       o.received as o_received, o.rejected as o_rejected, o.dropped as o_dropped,
                       n.received + n.rejected + n.dropped as n_all, o.received + o.rejected + o.dropped as o_all,
                       isempty(n.rejected) and isempty(n.dropped) and isempty(o.rejected) and isempty(o.dropped) as plain,
                       n.late - o.late as late, n.duplicates - o.duplicates as duplicate,
                       n.readings - o.readings as readings, n.suspect - o.suspect as suspect,
                       n.failed - o.failed as failed
                from updated n join before o using (device_id, boot)
                offset 0
            ) pair
        ) change
        group by device_id
        having (sum(received), sum(duplicate), sum(rejected), sum(dropped), sum(readings)) <> (0, 0, 0, 0, 0)
    ) gain;
    return null;
end $$;

create trigger delivery_inserted after insert on store.delivery
    referencing new table as inserted for each statement execute function store.delivery_inserted();
create trigger delivery_updated after update on store.delivery
    referencing new table as updated old table as before for each statement execute function store.delivery_updated();

-- Ingest's own figures: what each worker did in each minute.
create table store.ingest_minute (
    worker        text not null,
    minute        timestamptz not null,
    messages      bigint not null,
    records       bigint not null,
    readings      bigint not null,
    duplicates    bigint not null,
    dead_letters  bigint not null,
    batches       bigint not null,
    commit_ms     double precision not null,
    commit_ms_max double precision not null,
    lag_ms        double precision not null,
    lag_ms_max    double precision not null,
    window_used   bigint not null,
    window_size   bigint not null,
    memory_mb     double precision,
    disk_used     double precision,
    reconnects    bigint not null,
    last_commit   timestamptz,
    primary key (minute, worker)
) with (fillfactor = 80);
comment on column store.ingest_minute.commit_ms is 'Sum over the batches, as `lag_ms`.';

create function store.drop_figures() returns bigint language sql as $$
    with minutes as (delete from store.ingest_minute where minute < now() - interval '35 days' returning 1),
    -- A year and the same month of the year before, or as long as readings are kept.
    hours as (
        delete from store.delivery_hour
        where hour < now() - (select greatest(keep, interval '400 days') from store.retention) returning 1)
    select (select count(*) from minutes) + (select count(*) from hours)
$$;

create index dead_letter_hour on store.dead_letter (date_bin('1 hour', first_seen, timestamptz '2000-01-01T00:00Z'));

create view qytet.delivery_hour as
select c.slug as city, s.slug as site, d.name as device, h.hour, h.received::bigint as received, h.late::bigint as late,
       h.duplicate::bigint as duplicate, h.rejected::bigint as rejected, h.dropped,
       coalesce(h.missing, 0) as missing,
       h.readings::bigint as readings, h.suspect::bigint as suspect, h.failed::bigint as failed
from store.delivery_hour h
join store.device d using (device_id)
join store.site s using (site_id)
join store.city c using (city_id);
comment on view qytet.delivery_hour is
    'A device''s hour of arrival by the server''s clock, if anything of it arrived: records received for the first time, of '
    'these late; duplicates; records wholly or partly dead-lettered; records that the device gave up (less those that came '
    'after all); missing, the gap of all its boots at the end of the hour''s last batch; readings stored, of which suspect '
    '(quality 3) and failed (4). Sums equal those of qytet.delivery since this was counted.';

create view qytet.ingest_minute as
select worker, minute, messages, records, readings, duplicates, dead_letters, batches,
       readings::double precision / nullif(batches, 0) as batch_mean,
       commit_ms / nullif(batches, 0) as commit_ms_mean, case when batches > 0 then commit_ms_max end as commit_ms_max,
       lag_ms / nullif(batches, 0) as lag_ms_mean, case when batches > 0 then lag_ms_max end as lag_ms_max,
       least(window_used, 2147483647)::integer as window_used_max, least(window_size, 2147483647)::integer as window_size,
       memory_mb, disk_used, reconnects, last_commit
from store.ingest_minute;
comment on view qytet.ingest_minute is
    'A worker''s minute, written every ten seconds: what it received and stored, readings a batch, milliseconds of a commit, '
    'milliseconds from the arrival of a batch''s first message to its commit (lag), bytes received and not yet committed at '
    'most (window) and allowed, its memory, how full its file system is (0 to 1), reconnections to the broker.';

create view qytet.dead_letter_hour as
select date_bin('1 hour', l.first_seen, timestamptz '2000-01-01T00:00Z') as hour, coalesce(c.slug, '') as city, l.device,
       l.reason, count(*) as letters, count(*) filter (where l.replayed_at is null) as still_open,
       sum(l.seen)::bigint as messages
from store.dead_letter l
left join store.device d on d.name = l.device
left join store.site s using (site_id)
left join store.city c using (city_id)
group by 1, 2, 3, 4;
comment on view qytet.dead_letter_hour is
    'Dead letters by the hour in which each was first seen, by what their topic claims as device, and by reason; city is '
    'empty where the device is not registered. The same message again adds to `messages` only.';

-- How far rollups reach; nothing where the server has jobs of its own. A view, as a reader may not call into tables.
do $$ begin
    if to_regclass('store.rollup_state') is null then
        create view store.rolled as select null::timestamptz as until;
    else
        create view store.rolled as select nullif(until, '-infinity') as until from store.rollup_state;
    end if;
end $$;

create view qytet.platform_now as
select (select tier from public.qytet_migration order by version limit 1) as tier,
       pg_database_size(current_database()) as database_bytes,
       b.numbackends as connections,
       b.blks_hit / nullif(b.blks_hit + b.blks_read, 0)::double precision as cache_hit,
       (select count(*) from store.dead_letter where replayed_at is null) as open_dead_letters,
       (select count(*) from store.undated) as undated,
       (select extract(epoch from now() - until)::double precision from store.rolled) as rollup_lag_s,
       (select count(distinct worker)::integer from store.ingest_minute
        where minute > now() - interval '2 minutes') as workers_active,
       (select extract(epoch from now() - max(last_commit))::double precision from store.ingest_minute
       ) as last_commit_age_s,
       (select count(*) from store.device) as devices,
       (select count(*) from store.datastream) as datastreams
from pg_stat_database b where b.datname = current_database();
comment on view qytet.platform_now is
    'One row: the tier, the database''s size and connections, the part of block reads that its memory answered, dead letters '
    'and undated records that wait, seconds since the instant up to which rollups hold all readings (null where the server '
    'has jobs for that), workers that wrote figures in the last two minutes, seconds since the last commit of a batch, and '
    'how many devices and datastreams are registered.';

grant select on qytet.delivery_hour, qytet.ingest_minute, qytet.dead_letter_hour, qytet.platform_now to qytet_dashboards;
