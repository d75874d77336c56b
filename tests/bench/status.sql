-- A large table, a fifth of it due, at random places.
create table public.run (id bigint primary key, at timestamptz not null, pad text);
insert into public.run
select i, now() - random() * interval '100 days', repeat('x', 60) from generate_series(1, :rows) as i;
create index on public.run (at);
vacuum (analyze, freeze) public.run;
select from maintenance.set_policy('purge', 'public.run', 'delete', 'at', '80 days');
