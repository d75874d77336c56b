-- What an operator edits in pg_cron survives dbmate up and what make up does, whoever does it and how.
\set QUIET on
set client_min_messages = error;
create extension if not exists pgtap;
select plan(4);

\setenv EDIT 'update cron.job set active = false where jobname = ''maintenance:cleanup_old_raw_items'''
\! $AS_SUPERUSER -c "$EDIT"
\setenv ONE 'from cron.job where jobname = ''maintenance:mark_stuck_import_runs'''
\! $AS_SUPERUSER -o /dev/null -c "select cron.alter_job(jobid, schedule => '9 3 * * *') $ONE"
select cron.unschedule('maintenance:compact_old_import_jobs') \g /dev/null
-- A schedule that was never declared.
select maintenance.set_policy('by_hand', 'public.sessions', 'delete', 'expires_at', '2 days') \g /dev/null
select maintenance.set_schedule('by_hand', '5 5 * * *') \g /dev/null
-- psql puts two variables into the environment that dbmate's driver refuses.
\setenv DATABASE_URL `echo "$OWNERS_URL"`
\setenv REFERENCE 1
\! env -u PGLOCALEDIR -u PGSYSCONFDIR scripts/up >/dev/null 2>&1 || echo 'not ok - make up'
call maintenance.tick();

prepare job as select schedule, active, scheduling from maintenance.job_status where job_name = $1;
select results_eq($$execute job('cleanup_old_raw_items')$$, $$values ('0 3 * * *', false, 'inactive in pg_cron')$$,
  'a job that was made inactive stays so after make up');
select results_eq($$execute job('mark_stuck_import_runs')$$, $$values ('9 3 * * *', true, 'edited by an operator')$$,
  'an altered schedule stays after make up');
select results_eq($$execute job('compact_old_import_jobs')$$, $$values (null, false, 'removed by an operator')$$,
  'a job that was unscheduled stays out after make up');
select set_eq($$select job_name from maintenance.edit
  where job_name in ('cleanup_old_raw_items', 'mark_stuck_import_runs', 'compact_old_import_jobs')$$,
  array['cleanup_old_raw_items', 'mark_stuck_import_runs', 'compact_old_import_jobs'],
    'each edit of an operator is on record');
select * from finish();
