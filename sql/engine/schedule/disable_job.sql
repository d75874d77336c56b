-- Keeps a job from running, whoever starts it, until it is enabled again.

create function maintenance.disable_job(job_name text)
returns maintenance.job_status
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
set row_security = off
set timezone = 'UTC'
set lock_timeout = '5s'
as $$
begin
  return maintenance.set_enabled(disable_job.job_name, false);
end
$$;

comment on function maintenance.disable_job(text) is
  'Keeps a job from running: pg_cron goes on firing it, and each firing leaves a skipped receipt. '
  'Returns its job_status row. Errors: PM001 no such job.';
