-- Readings on TimescaleDB, Apache-2 edition: a hypertable; policies need the Community edition.
create table store.observation (
    phenomenon_time timestamptz not null,
    value           double precision,
    datastream_id   integer not null,
    quality         smallint not null,
    time_quality    smallint not null
);
select create_hypertable('store.observation', by_range('phenomenon_time', interval '7 days'), create_default_indexes => false);
create unique index observation_key on store.observation (datastream_id, phenomenon_time);
comment on table store.observation is 'No foreign key: ingest checks the datastream, and datastreams are never deleted.';

create function store.drop_observations_before(horizon timestamptz) returns bigint language sql as $$
    select count(*) from drop_chunks('store.observation', older_than => horizon)
$$;
create function store.set_retention(keep interval) returns text language sql as $$
    select 'this tier has no background jobs: run `qytet db maintain` daily'
$$;
