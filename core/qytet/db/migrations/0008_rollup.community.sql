-- Continuous aggregates notice late readings themselves: nobody has to note any.
create function store.rollup_noting() returns timestamptz language sql immutable as 'select null::timestamptz';
