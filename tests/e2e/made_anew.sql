-- pg_cron was dropped and created anew: nobody has removed our jobs, and they are scheduled again, as
-- the operator had left them (operators_edits.sql).
\set QUIET on
set client_min_messages = error;
create extension if not exists pgtap;
select plan(8);

create temporary table before as select job_name, schedule from maintenance.job_status where active;
\! $AS_SUPERUSER -o /dev/null -c 'drop extension pg_cron' -c 'create extension pg_cron' 2>/dev/null
\! $AS_SUPERUSER -c 'grant usage on schema cron to app_owner'
select cmp_ok((select count(*) from before), '>', 9::bigint, 'jobs were scheduled before');
select results_eq('select distinct scheduling from maintenance.job_status where declared_schedule is not null',
  array['not installed yet'],
  'no job counts as removed by an operator');
select matches((select severity || ' ' || advice from public.maintenance_status where task = 'scheduler'),
  '^critical .* and \d+ more: not installed yet\. select \* from maintenance.install_schedules\(\);',
  'the status says so, and what installs them');
select set_eq('select outcome from maintenance.install_schedules() where outcome <> ''no schedule''',
  array['created', 'removed by an operator',
  'left out: an operator had made it inactive'],
  'install_schedules schedules all of them again, but for those that an operator had stopped');
select set_eq('select job_name, schedule from maintenance.job_status where active', 'select * from before',
  'the jobs that were active are active again, as an operator had edited them');
select cron.unschedule('maintenance:cleanup_temp_uploads') \g /dev/null
select is((select outcome from maintenance.install_schedules() where job_name = 'cleanup_temp_uploads'),
  'removed by an operator', 'a single job that an operator removes stays out');
select results_eq($$select scheduling from maintenance.job_status
  where job_name in ('compact_old_import_jobs', 'cleanup_old_raw_items')$$,
  array['removed by an operator', 'removed by an operator'],
    'a job that an operator had removed, or made inactive, is out');
select cron.unschedule(jobid) from cron.job \g /dev/null
select set_eq('select outcome from maintenance.register() where kind = ''schedule'' and outcome <> ''no schedule''',
  array['created',
  'left out: an operator had made it inactive'], 'register puts every schedule back, but for one that was inactive');
select * from finish();
