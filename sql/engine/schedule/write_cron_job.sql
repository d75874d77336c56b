-- Puts a job into pg_cron, or changes it there: cron.schedule is an upsert by name that keeps the
-- id, and the active flag with it. What is inactive starts again only where that is asked: it has
-- to be made anew then, since only a superuser may set the flag.

create function maintenance_internal.write_cron_job(
  p_job maintenance_internal.job,
  p_schedule text,
  p_start boolean default false)
returns void
language plpgsql
set search_path = pg_catalog, pg_temp
set row_security = on
as $$
declare
  v_cron_job_id bigint;
  v_message text;
begin
  for v_cron_job_id in
    select c.cron_job_id from maintenance_internal.cron_jobs() as c
    where p_start and c.job_name = p_job.job_name and not c.active
  loop
    execute 'select cron.unschedule($1)' using v_cron_job_id;
  end loop;
  execute format('select cron.schedule(%L, %L, %L)',
    'maintenance:' || p_job.job_name, p_schedule, maintenance_internal.cron_command(p_job));
exception when invalid_parameter_value or internal_error then
  get stacked diagnostics v_message = message_text;
  raise exception 'pg_cron does not take the schedule "%" of %: %',
    p_schedule, p_job.job_name, v_message
    using errcode = 'PM006', hint = 'Five fields work in every version of pg_cron.';
end
$$;
