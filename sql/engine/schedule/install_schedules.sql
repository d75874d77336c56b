-- Puts every declared schedule into pg_cron that was never there, and repairs commands.

create function maintenance_internal.sync_schedules(
  p_removed_too boolean,
  p_job_name text default null)
returns table (job_name text, schedule text, outcome text)
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
  v_repaired constant text[] := maintenance_internal.repair_addresses();
  v_context text;
begin
  for sync_schedules.job_name in
    select j.job_name from maintenance_internal.job as j
    where p_job_name is null or j.job_name = p_job_name
    order by 1
  loop
    begin
      outcome := maintenance_internal.sync_schedule(sync_schedules.job_name, p_removed_too);
      if sync_schedules.job_name = any (v_repaired) then
        outcome := 'address repaired';
      end if;
    exception when others then
      get stacked diagnostics v_context = pg_exception_context;
      outcome := 'failed: ' || maintenance_internal.error_text(sqlstate, sqlerrm, v_context);
    end;
    select s.schedule into sync_schedules.schedule
    from maintenance.job_status as s
    where s.job_name = sync_schedules.job_name;
    return next;
  end loop;
  -- What is written while pg_cron reads its jobs, as at a migration's commit, 1.4 may not hear of
  -- before they change again: so one is written once more, as it is.
  perform maintenance_internal.write_cron_job(j, c.schedule)
  from maintenance_internal.cron_jobs() as c
  join maintenance_internal.job as j on j.job_name = c.job_name
  where c.active and j.statement = maintenance_internal.tick_statement();
end
$$;

create function maintenance.install_schedules()
returns table (job_name text, schedule text, outcome text)
language sql
security definer
set search_path = pg_catalog, pg_temp
set lock_timeout = '5s'
as $$
  select s.job_name, s.schedule, s.outcome
  from maintenance_internal.sync_schedules(false) as s;
$$;

comment on function maintenance.install_schedules() is
  'Creates the pg_cron jobs maintenance:<job_name> that were never installed here and repairs '
  'their commands, and the address of the server in them; what an operator edited, deactivated '
  'or removed stays so. One row per job; a second call changes nothing. A job that fails says so '
  'in its row and stops no other.';
