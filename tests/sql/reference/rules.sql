-- Rules of the original systems that the tests of single jobs do not quote.
begin;
create extension pgtap;
select plan(20);

-- S1-10: enabled is a flag of the job.
select maintenance.disable_job('cleanup_temp_uploads');
insert into public.temp_uploads (token, created_at) values ('old', now() - interval '25 hours');
select is((maintenance.run_now('cleanup_temp_uploads') -> 'data') - 'runId' - 'details',
  '{"jobName": "cleanup_temp_uploads", "status": "skipped", "batches": 0, "sqlstate": null, "stopReason": "disabled", '
    '"rowsRefused": 0, "rowsAffected": 0}', 'S1-10: a disabled job is skipped');
select is((select count(*) from public.temp_uploads), 1::bigint, 'S1-10: a disabled job changes nothing');
select maintenance.enable_job('cleanup_temp_uploads');

-- S1-13, S1-24: each run has a receipt with its time, rows and the size before and after.
select is(maintenance.run_now('cleanup_temp_uploads') ->> 'success', 'true', 'S1-10: a job that is enabled again runs');
select results_eq($$select status, trigger, finished_at >= started_at, rows_affected,
  details ?& array['bytes_before', 'bytes_after'] from maintenance.run_history where status <> 'skipped'$$,
  $$values ('succeeded', 'manual', true, 1::bigint, true)$$, 'S1-13, S1-24: time, rows and size are on the receipt');

-- S1-14: receipts are kept for 90 days.
insert into maintenance_internal.run (job_id, job_name, trigger, status, started_at, finished_at, stop_reason)
select 1, 'old', 'manual', 'succeeded', now() - a, now() - a, 'done'
  from unnest(array[interval '91 days', interval '89 days']) as a;
select is(maintenance.run_now('purge_receipts') #>> '{data,rowsAffected}', '1', 'S1-14: an old receipt goes');
select is((select count(*) from maintenance.run_history where job_name = 'old'), 1::bigint,
  'S1-14: a receipt younger than 90 days stays');
select is_empty($$select * from maintenance.lint('purge_receipts')$$, 'S1-14: an index serves the purge of receipts');

-- S1-15: what failed can be mended and run again, by itself.
insert into public.temp_uploads (token, created_at) values ('older', now() - interval '26 hours');
create function public.refuse() returns trigger language plpgsql as $$ begin raise exception 'no'; end $$;
create trigger refuse before delete on public.temp_uploads for each row execute function public.refuse();
select is(maintenance.run_now('cleanup_temp_uploads') ->> 'success', 'false', 'S1-15: a broken step fails');
drop trigger refuse on public.temp_uploads;
select is(maintenance.run_now('cleanup_temp_uploads') #>> '{data,rowsAffected}', '1',
  'S1-15: a step that failed runs again when it is mended');

-- S1-16: batches and indexes.
select is((select max(batch_size) from maintenance_internal.job), 20000, 'S1-16: a batch is at most 20,000 rows');
select is_empty('select * from maintenance.lint()', 'S1-16: an index serves every rule that ships');
insert into public.temp_uploads (token, created_at) select g::text, now() - interval '25 hours'
  from generate_series(1, 10000) as g;
select maintenance.configure_job('cleanup_temp_uploads', batch_size => 1000);
select ok((maintenance.run_now('cleanup_temp_uploads') #>> '{data,batches}')::integer between 10 and 13,
  'S1-16: 10,000 rows are ten batches of 1,000 or a few more, where nothing is known of the table');

-- S1-17, S4-13, S4-15, C-30: what is there, when it runs, and that it runs by hand.
select set_eq($$select job_name,
  schedule from maintenance_internal.job
  where job_name !~ '^(trigger_|tick$|run_late$|alert_monitor$|purge_|forget_)'
    -- those of operations/registry.sql
    and job_name <> all ('{health_check,rate_limit_monitor,cache_cleanup,daily_memory_cleanup,usage_analysis,
      automated_backup,profile_refresh,weekly_summary_generation,database_maintenance,archive_conversations,
      monthly_quota_reset}')$$,
  $$values ('mark_stuck_import_runs', '0 3 * * *'), ('cleanup_temp_uploads', '0 3 * * *'),
    ('cleanup_expired_attachments', '0 3 * * *'), ('apply_patch_jobs', '*/2 * * * *'), ('retry_patch_jobs', null),
    ('fail_import_jobs', '0 3 * * *'), ('cleanup_old_raw_items', '0 3 * * *'), ('compact_old_import_jobs', '0 3 * * *'),
    ('cleanup_expired_sessions', '0 * * * *'), ('refresh_subscription_summary', '0 * * * *'),
      ('analyze_account_tables', '0 * * * *'), ('vacuum_account_tables', '0 2 * * 0'),
      ('weekly_index_report', '10 2 * * 0')$$,
  'S1-17, C-30: the shipped jobs have their schedules');
select is(maintenance.run_now(j) ->> 'success', 'true', 'S4-13: by hand runs ' || j)
  from unnest(array['cleanup_expired_sessions', 'refresh_subscription_summary', 'weekly_index_report']) as j;
select has_function('public', f, 'S4-15: there is ' || f)
  from unnest(array['cleanup_expired_sessions', 'refresh_subscription_summary', 'get_database_health_stats']) as f;

-- C-29
select col_type_is('public', 'sessions', 'expires_at', 'timestamp with time zone',
  'C-29: a session expires at a moment, whatever the time zone');
select * from finish();
rollback;
