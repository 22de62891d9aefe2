-- What is asked of devices: a row a command, sent by ingest until the device answers or the command expires.
create table store.command (
    command_id  store.slug primary key,
    device_id   integer not null references store.device,
    name        text not null check (length(name) between 1 and 200),
    args        jsonb not null default '{}' check (jsonb_typeof(args) = 'object'),
    state       text not null default 'waiting'
                check (state in ('waiting', 'sent', 'accepted', 'done', 'failed', 'expired', 'cancelled')),
    why         text not null default '',
    asked_by    text not null default '',
    asked_at    timestamptz not null default now(),
    expires_at  timestamptz not null,
    sent_at     timestamptz,
    sends       integer not null default 0,
    answered_at timestamptz
);
create index command_device on store.command (device_id, asked_at);
create index command_open on store.command (expires_at) where state in ('waiting', 'sent');
comment on column store.command.sends is 'How often it was published: a device knows it by its id and acts once.';

create function store.command_changed() returns trigger language plpgsql as $$
begin
    perform pg_notify('qytet_command', '');
    return null;
end $$;
create trigger command_changed after insert or update of state on store.command
    for each statement execute function store.command_changed();

create view qytet.command as
select k.command_id, d.name as device, c.slug as city, k.name, k.args, k.state, k.why, k.asked_by, k.asked_at,
       k.expires_at, k.sent_at, k.sends, k.answered_at
from store.command k
join store.device d using (device_id)
join store.site s using (site_id)
join store.city c using (city_id);
grant select on qytet.command to qytet_read;
