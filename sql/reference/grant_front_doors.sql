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
    'public.refresh_subscription_summary()',
    'public.retry_patch_job(uuid)',
    'public.get_database_health_stats()'];
  v_object record;
  v_door text;
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
  if to_regrole('maintenance_operator') is not null then
    foreach v_door in array v_doors loop
      continue when to_regprocedure(v_door) is null; -- dropped by somebody
      execute format('grant execute on function %s to maintenance_operator', v_door);
    end loop;
  end if;
  if to_regrole('maintenance_viewer') is not null
    and to_regprocedure('public.get_database_health_stats()') is not null then
    grant execute on function public.get_database_health_stats() to maintenance_viewer;
  end if;
end
$$;

select from maintenance.grant_roles();
