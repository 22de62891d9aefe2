-- Readings on plain PostgreSQL: one narrow table.
create table store.observation (
    phenomenon_time timestamptz not null,
    value           double precision,
    datastream_id   integer not null,
    quality         smallint not null,
    time_quality    smallint not null
);
create unique index observation_key on store.observation (datastream_id, phenomenon_time);
comment on table store.observation is 'No foreign key: ingest checks the datastream, and datastreams are never deleted.';

create function store.drop_observations_before(horizon timestamptz) returns bigint language sql as $$
    with gone as (delete from store.observation where phenomenon_time < horizon returning 1) select count(*) from gone
$$;
create function store.set_retention(keep interval) returns text language sql as $$
    select 'this tier has no background jobs: run `qytet db maintain` daily'
$$;
