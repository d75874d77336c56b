-- Two tables of the same rows, half of them due: one for a run, one for a plain DELETE. The one that
-- is worked second is filled first, so that both start with their pages in the same state. The end
-- of every statement that deletes is noted, in both, to tell how long batches take.
drop table if exists public.run, public.plain, public.batch;
create table public.run (id bigint not null, at timestamptz not null, pad text);
create table public.plain (like public.run including all);
insert into public.:"second" select i, :age, repeat('x', 180) from generate_series(1, :rows) as i;
insert into public.:"first" select * from public.:"second";
alter table public.run add primary key (id);
alter table public.plain add primary key (id);
create index on public.run (at);
create index on public.plain (at);
create table public.batch (finished timestamptz);
create or replace function public.note() returns trigger language plpgsql as
  'begin insert into public.batch values (clock_timestamp()); return null; end';
create trigger note after delete on public.run execute function public.note();
create trigger note after delete on public.plain execute function public.note();
vacuum (analyze, freeze) public.:"second";
vacuum (analyze, freeze) public.:"first";
select from maintenance.set_policy('purge', 'public.run', 'delete', 'at', '50 days');
select count(*) from public.:"second" \g /dev/null
select count(*) from public.:"first" \g /dev/null
