-- Who may call the front doors of the application. Called by maintenance.grant_roles().

create function maintenance_internal.grant_front_doors()
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
    'public.cleanup_expired_attachments()',
    'public.cleanup_expired_memories()',
    'public.cleanup_expired_search_cache()',
    'public.refresh_student_profiles()',
    'public.analyze_usage(date)',
    'public.reset_monthly_quotas()',
    'public.refresh_subscription_summary()',
    'public.retry_patch_job(uuid)'];
  v_read constant text[] := array[
    'public.get_database_health_stats()',
    'public.health_check_statistics',
    'public.usage_analysis_statistics',
    'public.backup_statistics',
    'public.backups',
    'public.daily_usage_reports',
    'public.monthly_usage_reports',
    'public.retention_policies'];
  v_object record;
  v_role text;
  v_door text;
  v_grant text;
begin
  for v_object in
    select * from maintenance_internal.reference_objects() as o
    where o.kind = 'table' and to_regclass(format('public.%I', o.name)) is not null
      or o.kind = 'function' and to_regproc(format('public.%I', o.name)) is not null
  loop
    perform maintenance_internal.revoke_defaults(
      case v_object.kind when 'function' then 'f' else 'r' end::"char",
      format('%s public.%I', v_object.kind, v_object.name));
  end loop;
  perform maintenance_internal.pin_settings(array(
    select to_regproc(format('public.%I', o.name))::oid
    from maintenance_internal.reference_objects() as o where o.kind = 'function'));
  if to_regnamespace('maintenance_backup') is not null then
    perform maintenance_internal.revoke_defaults('n', 'schema maintenance_backup');
  end if;
  foreach v_role in array array['maintenance_viewer', 'maintenance_operator'] loop
    continue when to_regrole(v_role) is null;
    foreach v_door in array v_read || case v_role when 'maintenance_operator' then v_doors
      else '{}' end
    loop
      v_grant := case when v_door ~ '[(]' then 'execute on function' else 'select on' end;
      continue when case when v_door ~ '[(]' then to_regprocedure(v_door)::oid
        else to_regclass(v_door)::oid end is null; -- dropped by somebody
      execute format('grant %s %s to %I', v_grant, v_door, v_role);
    end loop;
  end loop;
end
$$;

select from maintenance.grant_roles();
