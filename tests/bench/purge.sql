-- Two tables of the same rows, half of them due: one for a run, one for a plain DELETE. The one that
-- is worked second is filled first, so that both start with their pages in the same state.
drop table if exists public.run, public.plain;
create table public.run (id bigint primary key, at timestamptz not null, pad text);
create index on public.run (at);
create table public.plain (like public.run including all);
insert into public.:"second" select i, :age, repeat('x', 180) from generate_series(1, :rows) as i;
insert into public.:"first" select * from public.:"second";
vacuum (analyze, freeze) public.:"second";
vacuum (analyze, freeze) public.:"first";
select from maintenance.set_policy('purge', 'public.run', 'delete', 'at', '50 days');
select count(*) from public.:"second" \g /dev/null
select count(*) from public.:"first" \g /dev/null
