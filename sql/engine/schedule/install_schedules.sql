-- Puts every declared schedule into pg_cron that was never there, and repairs commands.

create function maintenance.install_schedules()
returns table (job_name text, schedule text, outcome text)
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
set row_security = off
set timezone = 'UTC'
set lock_timeout = '5s'
as $$
declare
  v_message text;
begin
  for install_schedules.job_name in
    select j.job_name from maintenance_internal.job as j order by 1
  loop
    begin
      outcome := maintenance_internal.sync_schedule(install_schedules.job_name);
    exception when others then
      get stacked diagnostics v_message = message_text;
      outcome := 'failed: ' || v_message;
    end;
    select s.schedule into install_schedules.schedule
    from maintenance.job_status as s
    where s.job_name = install_schedules.job_name;
    return next;
  end loop;
end
$$;

comment on function maintenance.install_schedules() is
  'Creates the pg_cron jobs maintenance:<job_name> that were never installed here and repairs '
  'their commands; what an operator edited, deactivated or removed stays so. One row per job; '
  'a second call changes nothing. A job that fails says so in its row and stops no other.';
