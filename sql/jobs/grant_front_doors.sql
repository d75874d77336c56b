-- Who may call the front doors of the application. Called by maintenance.grant_roles().

create function maintenance.grant_front_doors()
returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
  v_doors constant text[] := array[
    'public.mark_stuck_import_runs()',
    'public.cleanup_temp_uploads()',
    'public.cleanup_old_raw_items()',
    'public.compact_old_import_jobs()',
    'public.run_maintenance_cleanup()',
    'public.cleanup_expired_sessions()',
    'public.refresh_subscription_summary()',
    'public.get_database_health_stats()'];
  -- What only the engine calls, as its owner.
  v_inside constant text[] := array[
    'public.refresh_subscription_summary_step(integer)',
    'public.stale_subscription_summary(integer)',
    'public.analyze_account_tables_step(integer)',
    'public.weekly_index_report_step(integer)',
    'public.trigger_analysis_step(integer)',
    'public.profile_subjects()',
    'public.prepare_profile(text, jsonb)',
    'public.profile_value(text, jsonb, text[])',
    'public.apply_profile(text, jsonb, jsonb, jsonb)',
    'public.consolidation_subjects()',
    'public.prepare_consolidation(text, jsonb)',
    'public.memory_hash(text[])',
    'public.check_consolidation(jsonb, jsonb, text[])',
    'public.apply_consolidation(text, jsonb, jsonb, jsonb)',
    'public.trigger_consolidation_step(integer)',
    'public.touch_updated_at()',
    'public.raise_version()',
    'public.drop_memory_prompt()'];
  v_tables constant text[] := array[
    'public.users',
    'public.sessions',
    'public.user_subscriptions',
    'public.user_subscription_now',
    'public.user_subscription_summary',
    'public.import_runs',
    'public.raw_import_items',
    'public.temp_uploads',
    'public.import_jobs',
    'public.messages',
    'public.memories',
    'public.memory_prompt_cache',
    'public.user_profiles',
    'public.user_preferences'];
  v_door text;
begin
  foreach v_door in array v_doors || v_inside loop
    perform maintenance.revoke_defaults('f', 'function ' || v_door);
  end loop;
  foreach v_door in array v_tables loop
    perform maintenance.revoke_defaults('r', 'table ' || v_door);
  end loop;
  if to_regrole('maintenance_operator') is not null then
    foreach v_door in array v_doors loop
      execute format('grant execute on function %s to maintenance_operator', v_door);
    end loop;
  end if;
  if to_regrole('maintenance_viewer') is not null then
    grant execute on function public.get_database_health_stats() to maintenance_viewer;
  end if;
end
$$;

comment on function maintenance.grant_front_doors() is
  'Takes the front doors of the application from PUBLIC and grants them to operator and viewer.';

select from maintenance.grant_roles();
