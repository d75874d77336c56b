-- What the reference application calls its own, and the guard in front of it: where one of these
-- names is taken, nothing of it is installed.

do $$
begin
  if to_regprocedure('maintenance.grant_roles()') is null then
    raise exception 'The reference application needs the engine, which is not in this database: '
      'apply db/migrations first.' using errcode = 'PM020';
  end if;
end
$$;

create or replace function maintenance_internal.reference_objects()
returns table (kind text, name text)
language sql
immutable
set search_path = pg_catalog, pg_temp
begin atomic
  select 'table', unnest(array[
    'import_runs',
    'raw_import_items',
    'temp_uploads',
    'import_jobs',
    'users',
    'sessions',
    'user_subscriptions',
    'user_subscription_now',
    'user_subscription_summary',
    'messages',
    'archived_sessions',
    'chat_sessions',
    'archivable_sessions',
    'retention_policies',
    'user_retention',
    'attachments',
    'user_profiles',
    'user_preferences',
    'memories',
    'memory_prompt_cache',
    'character_states',
    'conversation_states',
    'patch_jobs',
    'memory_b_episodes',
    'memory_daily',
    'memory_biweekly',
    'memory_levels',
    'missing_memories',
    'companion_posts',
    'chat_conversations',
    'study_chat_memory',
    'memory_summaries',
    'subjects',
    'topics',
    'activity_logs',
    'student_ai_profile',
    'api_usage_logs',
    'daily_usage_reports',
    'monthly_usage_reports',
    'search_cache',
    'missing_summaries',
    'health_check_statistics',
    'usage_analysis_statistics',
    'backup_tables',
    'backups',
    'backups_backup_id_seq',
    'backup_statistics'])
  union all
  select 'function', unnest(array[
    'touch_updated_at',
    'says_nothing',
    'mark_stuck_import_runs',
    'cleanup_temp_uploads',
    'cleanup_old_raw_items',
    'compact_old_import_jobs',
    'run_maintenance_cleanup',
    'cleanup_expired_sessions',
    'get_database_health_stats',
    'refresh_subscription_summary',
    'refresh_subscription_summary_step',
    'stale_subscription_summary',
    'retention_days',
    'attachment_user',
    'cleanup_expired_attachments',
    'archive_until',
    'next_session',
    'archive_subjects',
    'prepare_archive',
    'apply_archive',
    'trigger_archive_step',
    'profile_subjects',
    'prepare_profile',
    'profile_value',
    'apply_profile',
    'trigger_analysis_step',
    'raise_version',
    'drop_memory_prompt',
    'consolidation_subjects',
    'prepare_consolidation',
    'memory_hash',
    'check_consolidation',
    'apply_consolidation',
    'trigger_consolidation_step',
    'state_sections',
    'state_lists',
    'item_key',
    'merge_list',
    'merge_inventory',
    'move_axes',
    'patch_fault',
    'apply_patch_to_state',
    'check_patch_job',
    'enqueue_patch_job',
    'revive_patch_job',
    'retry_patch_job',
    'retry_patch_jobs_step',
    'parked_patch_jobs',
    'patch_hash',
    'next_patchless',
    'patch_subjects',
    'shown_json',
    'shown_state',
    'prepare_patch',
    'apply_patch',
    'apply_patch_job',
    'park_patch_jobs',
    'take_up_patch_job',
    'apply_patch_jobs_step',
    'patch_job_backlog',
    'memory_lines',
    'next_memory',
    'memory_subjects',
    'memory_bucket_subjects',
    'memory_daily_subjects',
    'memory_biweekly_subjects',
    'prepare_memory',
    'short_texts',
    'apply_memory',
    'memory_lists',
    'remember_in_state',
    'is_post_due',
    'post_subjects',
    'schedule_tick_subjects',
    'moment_post_subjects',
    'diary_daily_subjects',
    'prepare_post',
    'apply_post',
    'trigger_memories_step',
    'trigger_posts_step',
    'bump_conversations',
    'note_bytes_freed',
    'cleanup_expired_memories',
    'cleanup_expired_search_cache',
    'week_end',
    'week_memories',
    'next_summary',
    'summary_subjects',
    'prepare_summary',
    'apply_summary',
    'weekly_summary_generation_step',
    'student_profile',
    'profile_refresh_step',
    'refresh_student_profiles',
    'uncounted_usage',
    'count_usage',
    'rate_limit_monitor_step',
    'usage_error_type',
    'analyze_usage',
    'copy_model_calls',
    'usage_analysis_step',
    'monthly_quota_reset_step',
    'reset_monthly_quotas',
    'health_check_step',
    'backup_sums',
    'automated_backup_step',
    'overdue_backups',
    'restore_backup'])
  union all
  select 'job', unnest(array[
    'mark_stuck_import_runs',
    'cleanup_temp_uploads',
    'fail_import_jobs',
    'cleanup_old_raw_items',
    'compact_old_import_jobs',
    'cleanup_expired_sessions',
    'cleanup_expired_attachments',
    'refresh_subscription_summary',
    'analyze_account_tables',
    'vacuum_account_tables',
    'weekly_index_report',
    'trigger_archive',
    'trigger_analysis',
    'trigger_consolidation',
    'apply_patch_jobs',
    'retry_patch_jobs',
    'trigger_memories',
    'trigger_posts',
    'archive_conversations',
    'daily_memory_cleanup',
    'purge_memory_summaries',
    'purge_activity_logs',
    'purge_usage_logs',
    'purge_usage_reports',
    'cache_cleanup',
    'weekly_summary_generation',
    'profile_refresh',
    'usage_analysis',
    'monthly_quota_reset',
    'rate_limit_monitor',
    'health_check',
    'database_maintenance',
    'automated_backup'])
  union all
  select 'kind', unnest(array[
    'analyze_profile',
    'archive_session',
    'consolidate_memories',
    'patch_generate',
    'memory_bucket',
    'memory_daily',
    'memory_biweekly',
    'schedule_tick',
    'moment_post',
    'diary_daily',
    'summarize_week']);
end;

do $$
declare
  v_taken text;
begin
  select string_agg(format('%s %s', o.kind, o.name), ', ' order by o.kind desc, o.name)
  into v_taken
  from maintenance_internal.reference_objects() as o
  where case o.kind
    when 'function' then exists (
      select from pg_proc as p
      where p.pronamespace = 'public'::regnamespace and p.proname = o.name)
    when 'table' then to_regclass('public.' || o.name) is not null or exists (
      select from pg_type as t
      where t.typnamespace = 'public'::regnamespace and t.typname = o.name)
    when 'job' then exists (
      select from maintenance_internal.job as j where j.job_name = o.name)
    else exists (select from maintenance.kind as k where k.kind = o.name)
    end;
  if v_taken is not null then
    raise exception 'The reference application is not installed, and nothing was changed, since '
      'its names are taken in this database: %. Leave out db/reference, and run the rules that fit '
      'your tables: psql -v ON_ERROR_STOP=1 -1 -f sql/reference/imports/rules.sql.', v_taken
      using errcode = 'PM020';
  end if;
end
$$;
