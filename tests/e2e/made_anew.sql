-- pg_cron was dropped and created anew: nobody has removed our jobs, and they are scheduled again.
\set QUIET on
set client_min_messages = error;
create extension if not exists pgtap;
select plan(5);

create temporary table before as select job_name, schedule from maintenance.job_status where active;
\! $AS_SUPERUSER -o /dev/null -c 'drop extension pg_cron' -c 'create extension pg_cron' 2>/dev/null
\! $AS_SUPERUSER -c 'grant usage on schema cron to app_owner'
select cmp_ok((select count(*) from before), '>', 9::bigint, 'jobs were scheduled before');
select results_eq('select distinct scheduling from maintenance.job_status', array['not installed yet'],
  'no job counts as removed by an operator');
select results_eq('select distinct outcome from maintenance.install_schedules()', array['created'],
  'install_schedules schedules all of them again');
select set_eq('select job_name, declared_schedule from maintenance.job_status where active',
  'select job_name, declared_schedule from maintenance.job_status where enabled', 'every job is active again');
select cron.unschedule('maintenance:cleanup_old_raw_items') \g /dev/null
select is((select outcome from maintenance.install_schedules() where job_name = 'cleanup_old_raw_items'),
  'removed by an operator', 'a single job that an operator removes stays out');
select * from finish();
