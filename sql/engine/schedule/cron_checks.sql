-- Whether pg_cron can fire: for the doctor, before anything is late.

-- Shown to everybody, unlike the kind of a process.
create function maintenance_internal.has_launcher()
returns boolean
language sql
stable
set search_path = pg_catalog, pg_temp
begin atomic
  select exists (
    select from pg_stat_activity as a
    join pg_roles as r on r.oid = a.usesysid and r.rolsuper
    where a.application_name = 'pg_cron scheduler');
end;

create function maintenance_internal.launcher_advice()
returns text
language sql
immutable
set search_path = pg_catalog, pg_temp
return 'Restart the server, with pg_cron in shared_preload_libraries. Where its log says role ... '
  'does not exist, as a superuser, before: delete from cron.job where username not in (select '
  'rolname from pg_roles);';

create function maintenance_internal.cron_checks()
returns table (check_name text, status text, detail text, fix text)
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
declare
  v_state constant record := maintenance_internal.cron_state();
  v_version constant text := (
    select e.extversion from pg_extension as e where e.extname = 'pg_cron');
  v_tick maintenance.job_status;
  v_row record;
  v_slots integer;
begin
  check_name := 'pg_cron';
  select s.* into v_tick
  from maintenance.job_status as s
  join maintenance_internal.job as j on j.job_name = s.job_name
  where j.statement = maintenance_internal.tick_statement()
  order by j.job_id limit 1;
  status := case when v_state.gap is null or v_tick.scheduling ~ '^scheduled' then 'ok'
    else 'failed' end;
  detail := case when v_state.gap is null then format('pg_cron %s%s; schedules are in %s',
      v_version, case maintenance_internal.cron_setting('use_background_workers')
        when 'on' then ', with background workers' || case when v_version ~ '^1\.[0-4]\M'
          then ', which runs one job at a time' else '' end
        when 'off' then ', which connects to each job' else '' end, v_state.zone)
    when status = 'ok' then format('jobs are fired from elsewhere, as receipts show: %s',
      v_state.gap)
    else v_state.gap end;
  fix := case when status <> 'ok' then v_state.mend end;
  return next;
  if v_state.gap is not null or not v_state.readable then
    return;
  end if;

  check_name := 'launcher';
  status := case when pg_is_in_recovery() or maintenance_internal.has_launcher() then 'ok'
    else 'failed' end;
  detail := case when pg_is_in_recovery() then 'a standby: pg_cron fires on the primary alone'
    when status = 'ok' then 'the launcher of pg_cron is at work'
    else 'the launcher of pg_cron is not there' end;
  fix := case when status <> 'ok' then '-- ' || maintenance_internal.launcher_advice() end;
  return next;

  -- Two are the launchers of pg_cron and of logical replication. What fires each minute, and one
  -- more, have to find a place at once.
  check_name := 'worker_slots';
  v_slots := least(maintenance_internal.cron_setting('max_running_jobs')::integer,
    case when maintenance_internal.cron_setting('use_background_workers') = 'on'
      then current_setting('max_worker_processes')::integer - 2 end);
  select count(*) + 1 as needed into v_row
  from maintenance_internal.cron_jobs() as c where c.active and c.schedule = '* * * * *';
  status := case when v_slots is null or v_slots >= case when v_version ~ '^1\.[0-4]\M' then 1
    else least(v_row.needed, 5) end then 'ok' else 'warning' end;
  detail := format('%s jobs can run at once, and %s are fired each minute',
    coalesce(v_slots::text, 'it cannot be seen how many'), v_row.needed - 1);
  -- One after the other: pg_cron takes no more than the server had when it was started.
  fix := case
    when status = 'ok' then null
    when current_setting('max_worker_processes')::integer - 2 < v_row.needed then format('alter '
      'system set max_worker_processes = %s; -- as a superuser; then restart the server',
      v_row.needed + 4)
    else format('alter system set cron.max_running_jobs = %s; -- as a superuser; then restart '
      'the server', v_row.needed) end;
  return next;
end
$$;
