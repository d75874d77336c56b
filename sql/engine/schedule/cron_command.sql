-- What pg_cron is to run for a job.

create function maintenance_internal.cron_command(p_job maintenance_internal.job)
returns text
language sql
stable
set search_path = pg_catalog, pg_temp
return case
  when (p_job).statement is not null and (p_job).enabled
    and (maintenance_internal.is_own((p_job).statement) or not maintenance_internal.is_paused())
    then (p_job).statement
  -- Also for a statement that may not run now: the call then leaves a receipt that says so.
  else format('call maintenance.run_job(%L)', (p_job).job_name)
end;
