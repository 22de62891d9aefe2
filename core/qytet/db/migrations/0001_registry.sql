-- What exists: cities, sites, devices, observed properties and datastreams. Rows are closed, never deleted.
create schema store;
create schema qytet;
comment on schema store is 'Tables. Written by the platform only.';
comment on schema qytet is 'Views: what the API, dashboards and people read. Same names on every tier.';

create domain store.slug as text check (value ~ '^[a-z0-9_-]{1,64}$');

create table store.city (
    city_id   smallint generated always as identity primary key,
    slug      store.slug not null unique,
    name      text not null,
    time_zone text not null,
    lat       double precision not null check (lat between -90 and 90),
    lon       double precision not null check (lon between -180 and 180)
);

create table store.site (
    site_id  integer generated always as identity primary key,
    city_id  smallint not null references store.city,
    slug     store.slug not null,
    name     text not null,
    lat      double precision not null check (lat between -90 and 90),
    lon      double precision not null check (lon between -180 and 180),
    height_m double precision,
    unique (city_id, slug)
);

create table store.property (
    property    text primary key,
    domain      text not null,
    ucum        text not null,
    fail_min    double precision not null,
    fail_max    double precision not null,
    suspect_min double precision not null,
    suspect_max double precision not null,
    agg         text not null,
    sampling    text not null,
    core        boolean not null,
    sdm         text not null,
    cf_name     text not null,
    reference   text not null
);

create table store.device (
    device_id  integer generated always as identity primary key,
    name       store.slug not null unique,
    site_id    integer not null references store.site,
    profile    text not null,
    gateway_id integer references store.device,
    valid      tstzrange not null default tstzrange('2024-01-01T00:00Z', null),
    created_at timestamptz not null default now()
);
comment on column store.device.gateway_id is 'The gateway through which this device may be relayed, if any.';
comment on column store.device.valid is 'When the device is in service: a reading outside it is refused.';

create table store.datastream (
    datastream_id integer generated always as identity primary key,
    device_id     integer not null references store.device,
    property      text not null references store.property,
    channel       text not null default '' check (channel ~ '^[a-z0-9_-]{0,24}$'),
    valid         tstzrange not null,
    check (not isempty(valid))
);
create index datastream_device on store.datastream (device_id, property, channel);
comment on column store.datastream.valid is 'A replaced sensor ends one datastream and begins the next.';

-- Two datastreams of one device, property and channel never overlap in time.
create function store.datastream_apart() returns trigger language plpgsql as $$
begin
    perform 1 from store.device where device_id = new.device_id for update;
    if exists (
        select from store.datastream d
        where d.device_id = new.device_id and d.property = new.property and d.channel = new.channel
          and d.datastream_id <> new.datastream_id and d.valid && new.valid
    ) then
        raise exclusion_violation using message = 'datastreams of one device, property and channel overlap in time';
    end if;
    return new;
end $$;
create trigger datastream_apart before insert or update on store.datastream
    for each row execute function store.datastream_apart();

-- Ingest keeps the registry in memory and reads it again when told.
create function store.registry_changed() returns trigger language plpgsql as $$
begin
    perform pg_notify('qytet_registry', tg_table_name);
    return null;
end $$;
create trigger city_changed after insert or update or delete on store.city
    for each statement execute function store.registry_changed();
create trigger site_changed after insert or update or delete on store.site
    for each statement execute function store.registry_changed();
create trigger device_changed after insert or update or delete on store.device
    for each statement execute function store.registry_changed();
create trigger datastream_changed after insert or update or delete on store.datastream
    for each statement execute function store.registry_changed();
