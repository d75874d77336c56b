-- The rules of the reference application over tables that somebody else made (own_tables.psql): what is
-- due is seen, and goes, and nothing else.
begin;
create extension pgtap;
select plan(19);
select set_eq($$select job_name from maintenance_internal.job
    except select name from maintenance_internal.engine_ships() where kind = 'job'$$,
  array['mark_stuck_import_runs', 'cleanup_temp_uploads',
  'fail_import_jobs', 'cleanup_old_raw_items', 'compact_old_import_jobs', 'cleanup_expired_sessions',
    'analyze_account_tables',
    'vacuum_account_tables',
  'weekly_index_report', 'archive_conversations', 'daily_memory_cleanup', 'purge_memory_summaries',
  'purge_activity_logs', 'purge_usage_logs', 'purge_usage_reports', 'cache_cleanup'],
  'the rules are set over tables that somebody else made');
select set_eq($$select task, count, severity from public.maintenance_status where count > 0$$,
  $$values ('stuck_runs', 1::bigint, 'warning'), ('old_temp_uploads', 1, 'warning'), ('old_raw_items', 1, 'warning'),
    ('expired_sessions', 1, 'warning'), ('scheduler', 1, 'warning'), ('old_conversations', 1, 'warning'),
    ('expired_memories', 2, 'warning'), ('expired_summaries', 1, 'warning'), ('old_activity', 1, 'warning'),
    ('old_usage_logs', 1, 'warning'), ('old_usage_reports', 1, 'warning'), ('expired_cache', 1, 'warning')$$,
      'the backlogs of tables that somebody else made are counted');
select is(maintenance.run_now(j) ->> 'success', 'true', j || ' runs')
from unnest(array['mark_stuck_import_runs', 'cleanup_temp_uploads', 'cleanup_old_raw_items',
  'cleanup_expired_sessions', 'archive_conversations', 'daily_memory_cleanup', 'purge_memory_summaries',
  'purge_activity_logs', 'purge_usage_logs', 'purge_usage_reports', 'cache_cleanup']) as j;
select results_eq('select id, status from public.import_runs order by id', $$values (1::bigint, 'failed'),
  (2, 'processing'), (3, 'failed'), (4, 'success')$$, 'a stuck import has failed, a young one goes on');
select results_eq('select token from public.temp_uploads order by token', array['in use', 'new'],
  'the old upload is gone, and not the one that a job is at');
select results_eq('select id from public.raw_import_items', array[2::bigint],
  'the raw item of the failed run is gone, and not that of a success');
select results_eq('select sid from public.sessions', array['open'],
  'the expired session is gone, and the open one stays');
select results_eq('select id from public.chat_conversations where is_archived', array[1::bigint],
  'the old conversation is archived, and not the young one');
select results_eq($$select tableoid::regclass::text || ' ' || id from public.study_chat_memory
  union all select tableoid::regclass::text || ' ' || id from public.memory_summaries
  union all select tableoid::regclass::text || ' ' || id from public.activity_logs
  union all select tableoid::regclass::text || ' ' || id from public.api_usage_logs
  union all select tableoid::regclass::text || ' ' || id from public.search_cache order by 1$$,
  array['activity_logs 2', 'api_usage_logs 2', 'memory_summaries 2', 'memory_summaries 3', 'search_cache 2',
    'search_cache 3', 'study_chat_memory 2'], 'what has expired is gone, and nothing else');
select * from finish();
rollback;
