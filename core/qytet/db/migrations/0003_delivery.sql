-- What became of each record: the newest value, the ledger, what could not be stored, what has no time yet.
create table store.latest (
    datastream_id   integer primary key references store.datastream,
    phenomenon_time timestamptz not null,
    value           double precision,
    quality         smallint not null,
    time_quality    smallint not null
) with (fillfactor = 50);
comment on table store.latest is 'Newest reading per datastream, written every second or so, apart from the readings.';

create table store.delivery (
    device_id  integer not null references store.device,
    boot       text not null check (boot ~ '^[0-9a-f]{8}$'),
    received   int8multirange not null default '{}',
    rejected   int8multirange not null default '{}',
    dropped    int8multirange not null default '{}',
    duplicates bigint not null default 0,
    late       bigint not null default 0,
    anchor_ms  bigint,
    first_seen timestamptz not null default now(),
    last_seen  timestamptz not null default now(),
    primary key (device_id, boot)
) with (fillfactor = 50);
comment on column store.delivery.received is 'Sequence numbers committed: as observations, or waiting in store.undated.';
comment on column store.delivery.rejected is 'Sequence numbers kept, wholly or in part, as dead letters.';
comment on column store.delivery.anchor_ms is 'Unix milliseconds at which this boot began, by its own clock: `t` minus `up`.';
comment on column store.delivery.dropped is 'Sequence numbers that the device itself said it no longer holds.';

create table store.dead_letter (
    dead_letter_id bigint generated always as identity primary key,
    digest         bytea not null unique,
    first_seen     timestamptz not null default now(),
    last_seen      timestamptz not null default now(),
    seen           bigint not null default 1,
    topic          text not null,
    payload        bytea not null,
    reason         text not null,
    detail         text not null default '',
    device         text not null default '',
    replayed_at    timestamptz,
    outcome        text
);
create index dead_letter_open on store.dead_letter (reason, dead_letter_id) where replayed_at is null;
create index dead_letter_device on store.dead_letter (device, dead_letter_id);
comment on column store.dead_letter.digest is 'SHA-256 of topic, a zero byte and payload: the same message again only raises `seen`.';
comment on column store.dead_letter.device is 'The device that the topic claims; it may not exist.';

create table store.undated (
    device_id   integer not null references store.device,
    boot        text not null,
    seq         bigint not null,
    up_ms       bigint not null,
    m           jsonb not null,
    received_at timestamptz not null default now(),
    primary key (device_id, boot, seq)
);
comment on table store.undated is 'Records made before the clock was set, until a later record of the same boot dates them.';

create table store.device_status (
    device_id  integer primary key references store.device,
    state      text not null default 'unknown',
    state_boot text not null default '',
    state_at   timestamptz,
    boot       text not null default '',
    firmware   text not null default '',
    board      text not null default '',
    birth_at   timestamptz
) with (fillfactor = 50);

create table store.device_log (
    device_log_id bigint generated always as identity primary key,
    device_id     integer not null references store.device,
    received_at   timestamptz not null default now(),
    boot          text not null,
    up_ms         bigint not null,
    level         text not null,
    message       text not null
);
create index device_log_device on store.device_log (device_id, received_at);
