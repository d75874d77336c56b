-- Foreign tables are refused as targets, alone and as a partition.
begin;
create extension pgtap;
select plan(2);

-- Only a superuser can make a wrapper: the suite's own cluster has one, another server may not.
select exists (select from pg_foreign_data_wrapper where fdwname = 'nowhere') as has_wrapper \gset
\if :has_wrapper
create server nowhere foreign data wrapper nowhere;
create foreign table public.far (id bigint, created_at timestamptz) server nowhere;
create table public.near (id bigint, created_at timestamptz) partition by range (id);
create foreign table public.near_far partition of public.near for values from (0) to (9)
server nowhere;

select throws_ok(
  $$select maintenance.set_policy('p', 'public.far', 'delete', 'created_at', '1 day')$$, 'PM003',
  '"public.far" is a foreign table, and a policy works on tables', 'a foreign table is refused');
select throws_ok(
  $$select maintenance.set_policy('p', 'public.near', 'delete', 'created_at', '1 day')$$, 'PM003',
  'part of public.near is the foreign table public.near_far', 'a table with a foreign table as a partition is refused');
\else
select skip('no foreign data wrapper here', 2);
\endif
select * from finish();
rollback;
