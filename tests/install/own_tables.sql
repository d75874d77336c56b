-- The rules of imports and accounts over tables that somebody else made (own_tables.psql): what is
-- due is seen, and goes, and nothing else.
begin;
create extension pgtap;
select plan(10);
select set_eq($$select job_name from maintenance_internal.job
    where job_name !~ '^(tick$|run_late$|alert_monitor$|purge_|forget_)'$$,
  array['mark_stuck_import_runs', 'cleanup_temp_uploads',
  'fail_import_jobs', 'cleanup_old_raw_items', 'compact_old_import_jobs', 'cleanup_expired_sessions',
    'analyze_account_tables',
    'vacuum_account_tables',
  'weekly_index_report'], 'the rules are set over tables that somebody else made');
select set_eq($$select task, count, severity from public.maintenance_status where count > 0$$,
  $$values ('stuck_runs', 1::bigint, 'warning'), ('old_temp_uploads', 1, 'warning'), ('old_raw_items', 1, 'warning'),
    ('expired_sessions', 1, 'warning'), ('scheduler', 1, 'warning')$$,
      'the backlogs of tables that somebody else made are counted');
select is(maintenance.run_now(j) ->> 'success', 'true', j || ' runs')
from unnest(array['mark_stuck_import_runs', 'cleanup_temp_uploads', 'cleanup_old_raw_items',
  'cleanup_expired_sessions']) as j;
select results_eq('select id, status from public.import_runs order by id', $$values (1::bigint, 'failed'),
  (2, 'processing'), (3, 'failed'), (4, 'success')$$, 'a stuck import has failed, a young one goes on');
select results_eq('select token from public.temp_uploads order by token', array['in use', 'new'],
  'the old upload is gone, and not the one that a job is at');
select results_eq('select id from public.raw_import_items', array[2::bigint],
  'the raw item of the failed run is gone, and not that of a success');
select results_eq('select sid from public.sessions', array['open'],
  'the expired session is gone, and the open one stays');
select * from finish();
rollback;
