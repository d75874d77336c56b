-- Puts a job into pg_cron, or changes it there: cron.schedule is an upsert by name that keeps the
-- id, and the active flag with it.

create function maintenance_internal.write_cron_job(p_job maintenance_internal.job, p_schedule text)
returns void
language plpgsql
set search_path = pg_catalog, pg_temp
set row_security = on
as $$
declare
  v_message text;
begin
  execute format('select cron.schedule(%L, %L, %L)',
    'maintenance:' || p_job.job_name, p_schedule, maintenance_internal.cron_command(p_job));
exception when invalid_parameter_value or internal_error then
  get stacked diagnostics v_message = message_text;
  raise exception 'pg_cron does not take the schedule "%" of %: %',
    p_schedule, p_job.job_name, v_message
    using errcode = 'PM006', hint = 'Five fields work in every version of pg_cron.';
end
$$;
