-- The engine's migrations alone make a working kit in an empty database, without pg_cron and
-- without any table of the reference application.
begin;
create extension pgtap;
select plan(17);

select is((select count(*) from pg_class where relnamespace = 'public'::regnamespace
    and relkind in ('r', 'm') and relname <> 'schema_migrations'), 0::bigint, 'public has no table of the application');
select set_eq('select job_name from maintenance_internal.job',
  $$select name from maintenance_internal.engine_ships() where kind = 'job'$$, 'only the engine''s own jobs are set');
select results_eq('select task, severity, advice from public.maintenance_status where count > 0',
  $$values ('scheduler', 'warning', 'Nothing is fired here: pg_cron is not in this database. Where the server '
    'has none: '
    'README.md, "Adopt it", step 1. In the database where pg_cron lives, a superuser says what this prints: select * '
    'from maintenance.cron_statements();')$$,
  'nothing is due in an empty database, but that nothing is fired there');

create table public.audit (id bigint primary key, created_at timestamptz);
insert into public.audit select i, now() - i * interval '1 day' from generate_series(1, 100) as i;
select lives_ok($$select maintenance.set_policy('purge_audit', target => 'audit', action => 'delete',
  age => 'created_at', keep => '90 days', schedule => '30 2 * * *')$$, 'a policy is set in one call');
select results_eq('select task, count, schedule, active from public.maintenance_status where job_name '
  '= ''purge_audit''',
  $$values ('purge_audit', 11::bigint, '30 2 * * *', false)$$,
    'the backlog of a policy is in the status, under its own name');
select matches((select outcome from maintenance.install_schedules() where job_name = 'purge_audit'),
  '^not scheduled here: pg_cron',
  'install_schedules says plainly that pg_cron is not here');
select is(maintenance.run_now('purge_audit') #>> '{data,rowsAffected}', '11', 'a policy runs by hand without pg_cron');
select results_eq('select task, count, severity from public.maintenance_status where job_name = ''purge_audit''',
  $$values ('purge_audit', 0::bigint, 'ok')$$, 'nothing is due after a policy has run');

-- Somebody else's partitioned table, in a schema of theirs, with names of theirs.
create schema "Shop";
create table "Shop"."Order Events" ("Id" bigint, "At" timestamptz not null, "Kind" text) partition by range ("At");
create table "Shop"."Events Old" partition of "Shop"."Order Events" for values from (minvalue) to ('2026-01-01');
create table "Shop"."Events New" partition of "Shop"."Order Events" for values
  from ('2026-01-01') to (maxvalue) partition by list ("Kind");
create table "Shop"."Events A" partition of "Shop"."Events New" for values in ('a');
create table "Shop"."Events Rest" partition of "Shop"."Events New" default;
insert into "Shop"."Order Events"
select i, now() - i * interval '10 days', case when i % 2 = 0 then 'a' else 'b' end from generate_series(0, 99) as i;
select lives_ok($$select maintenance.set_policy('order_events', target => '"Shop"."Order Events"', action => 'delete',
  age => '"At"', keep => '90 days', matching => '"Kind" <> ''kept''', schedule => '15 * * * *')$$,
    'a policy over a partitioned table can be set');
select results_eq('select severity, finding from maintenance.lint(''order_events'')',
  $$values ('warning', 'no index serves the age "At" of "Shop"."Order Events"')$$,
    'lint asks for an index on a partitioned table');
select lives_ok((select fix from maintenance.lint('order_events')),
  'the index that lint asks for can be made on a partitioned table');
select is_empty('select * from maintenance.lint(''order_events'')', 'lint finds nothing when its index is made');
select is((select due from maintenance.preview('order_events')), 91::bigint,
  'the preview counts the due rows of a partitioned table');
select is(maintenance.run_now('order_events') #>> '{data,rowsAffected}', '91',
  'a run takes as many rows of a partitioned table as the preview counts');
select is((select count(*) from "Shop"."Order Events"), 9::bigint,
  'a run leaves the rows of a partitioned table that are not due');
select results_eq('select distinct tableoid::regclass::text from "Shop"."Order Events" order by 1',
  array['"Shop"."Events A"', '"Shop"."Events Rest"'], 'the rows that are not due stay in their partitions');
select is((select severity from public.maintenance_status where task = 'order_events'), 'ok',
  'the status of a policy over a partitioned table is ok after its run');
select * from finish();
rollback;
