-- Readings on TimescaleDB, Community edition: a hypertable whose old chunks become a columnstore.
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

alter table store.observation set (
    timescaledb.enable_columnstore,
    timescaledb.segmentby = 'datastream_id',
    timescaledb.orderby = 'phenomenon_time'
);
-- Late readings are common for days and rare after weeks; writing into the columnstore works, only slower.
call add_columnstore_policy('store.observation', after => interval '14 days');

create function store.drop_observations_before(horizon timestamptz) returns bigint language sql as $$
    select count(*) from drop_chunks('store.observation', older_than => horizon)
$$;
create function store.set_retention(keep interval) returns text language plpgsql as $$
begin
    perform remove_retention_policy('store.observation', if_exists => true);
    if keep is null then
        return 'readings are kept for ever';
    end if;
    perform add_retention_policy('store.observation', drop_after => keep);
    return format('a daily job drops readings older than %s', keep);
end $$;
