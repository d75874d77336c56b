-- The engine's migrations alone make a working kit in an empty database, without pg_cron and
-- without any table of the reference application.
begin;
create extension pgtap;
select plan(8);

select is((select count(*) from pg_class where relnamespace = 'public'::regnamespace
    and relkind in ('r', 'm') and relname <> 'schema_migrations'), 0::bigint, 'public has no table of the application');
select is((select count(*) from maintenance.job), 0::bigint, 'no job is set');
select is((select count(*) from public.maintenance_status), 0::bigint, 'the status is empty');

create table public.audit (id bigint primary key, created_at timestamptz);
insert into public.audit select i, now() - i * interval '1 day' from generate_series(1, 100) as i;
select lives_ok($$select maintenance.set_policy('purge_audit', target => 'audit', action => 'delete',
  age => 'created_at', keep => '90 days', schedule => '30 2 * * *')$$, 'a policy is set in one call');
select results_eq('select task, count, schedule, active from public.maintenance_status',
  $$values ('purge_audit', 11::bigint, '30 2 * * *', false)$$, 'its backlog is in the status, under its own name');
select matches((select outcome from maintenance.install_schedules()), '^not scheduled here: pg_cron',
  'install_schedules says plainly that pg_cron is not here');
select is(maintenance.run_now('purge_audit') #>> '{data,rowsAffected}', '11', 'it runs all the same');
select results_eq('select task, count, severity from public.maintenance_status',
  $$values ('purge_audit', 0::bigint, 'ok')$$, 'and nothing is due');
select * from finish();
rollback;
