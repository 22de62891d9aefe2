-- How long readings are kept: one row, or none for ever. Tiers without jobs learn it from here (`qytet db maintain`).
create table store.retention (
    one  boolean primary key default true check (one),
    keep interval not null check (keep >= interval '1 day')
);
