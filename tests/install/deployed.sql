-- What `dbmate up` with nothing but a DATABASE_URL leaves: all tables, jobs and front doors.
begin;
create extension pgtap;
select plan(4);
select set_has('select job_name from maintenance_internal.job', $$values ('mark_stuck_import_runs'),
  ('cleanup_temp_uploads'),
  ('cleanup_old_raw_items'), ('compact_old_import_jobs'), ('cleanup_expired_sessions'),
    ('refresh_subscription_summary')$$,
  'the shipped jobs are set');
select set_has('select task from public.maintenance_status', $$values ('stuck_runs'), ('old_temp_uploads'),
  ('old_raw_items'), ('old_import_jobs'), ('expired_sessions')$$, 'the backlogs of the shipped jobs are in the status');
select is(public.run_maintenance_cleanup() -> 'errors', '[]', 'run_maintenance_cleanup() works without errors');
select is((select count(*) from pg_roles where rolname in ('maintenance_viewer', 'maintenance_operator',
  'maintenance_worker')),
  3::bigint, 'the three maintenance roles are there');
select * from finish();
rollback;
