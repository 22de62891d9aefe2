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
