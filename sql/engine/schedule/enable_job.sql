-- Lets a job run again.

create function maintenance.enable_job(job_name text)
returns maintenance.job_status
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
set row_security = off
set timezone = 'UTC'
set lock_timeout = '5s'
as $$
begin
  return maintenance.set_enabled(enable_job.job_name, true);
end
$$;

comment on function maintenance.enable_job(text) is
  'Lets a job run again and returns its job_status row. Errors: PM001 no such job.';
