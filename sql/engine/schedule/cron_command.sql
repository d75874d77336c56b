-- What pg_cron is to run for a job.

create function maintenance.cron_command(p_job maintenance.job)
returns text
language sql
immutable
set search_path = pg_catalog, pg_temp
return coalesce(p_job.statement, format('call maintenance.run_job(%L)', p_job.job_name));

comment on function maintenance.cron_command(maintenance.job) is
  'What pg_cron is to run for a job.';
