-- Keeps what has changed in pg_cron since the last look at a job there: its schedule, whether it is
-- active, whether it is there at all. pg_cron does not say who edits it; our own calls do.

create function maintenance_internal.record_schedule_edit(p_job_id integer, p_changed_by text)
returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
  v_job_name text := (
    select j.job_name from maintenance_internal.job as j where j.job_id = p_job_id);
  v_state record := maintenance_internal.cron_state();
  v_seen jsonb;
  v_found jsonb;
begin
  if not v_state.readable then
    return;
  end if;
  select jsonb_build_object('schedule', c.schedule, 'active', c.active) into v_found
  from maintenance_internal.cron_jobs() as c
  where c.job_name = v_job_name;
  v_found := coalesce(v_found, '{"schedule": null, "active": null}');
  select i.seen into v_seen
  from maintenance_internal.installed_schedule as i
  where i.job_id = p_job_id and i.seen is distinct from v_found
    and i.database_oid = v_state.database_oid and i.cron_oid = v_state.cron_oid
    and i.username = v_state.username
  for update skip locked;
  if not found then
    return;
  end if;
  if v_seen is not null then
    insert into maintenance.edit (job_name, changed_by, what)
    select v_job_name, p_changed_by,
      jsonb_object_agg(s.key, jsonb_build_array(s.value, v_found -> s.key))
    from jsonb_each(v_seen) as s
    where s.value is distinct from v_found -> s.key;
  end if;
  update maintenance_internal.installed_schedule as i
  set seen = v_found
  where i.job_id = p_job_id;
end
$$;
