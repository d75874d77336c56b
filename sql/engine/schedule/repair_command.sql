-- Puts into pg_cron what it is to run for a job, where it has the job and another command: after it
-- was enabled or disabled, at a pause and after it. Its schedule stays as it is.

create function maintenance_internal.repair_command(p_job maintenance_internal.job)
returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
  v_state record := maintenance_internal.cron_state();
begin
  if v_state.gap is not null then
    if p_job.schedule is not null then
      perform maintenance_internal.tell_elsewhere(p_job, p_job.schedule);
    end if;
  elsif (case when v_state.readable
    then exists (
      select from maintenance_internal.cron_jobs() as c
      where c.job_name = p_job.job_name
        and c.command <> maintenance_internal.cron_command(p_job))
    else exists (
      select from maintenance_internal.installed_schedule as i
      where i.job_id = p_job.job_id
        and i.command <> maintenance_internal.cron_command(p_job)) end)
  then
    perform maintenance_internal.sync_schedule(p_job.job_name);
  end if;
end
$$;
