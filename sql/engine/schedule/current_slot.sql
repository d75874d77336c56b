-- The scheduled minute that a run fired by pg_cron just now stands for.

create function maintenance.current_slot(p_job maintenance.job)
returns timestamptz
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $$
declare
  v_zone text := maintenance.cron_zone();
  v_schedule text;
begin
  select c.schedule into v_schedule
  from maintenance.cron_jobs() as c
  where c.job_name = p_job.job_name;
  return maintenance.find_slot(
    coalesce(v_schedule, p_job.schedule), clock_timestamp() at time zone v_zone, false)
    at time zone v_zone;
end
$$;

comment on function maintenance.current_slot(maintenance.job) is
  'The scheduled minute that a run fired by pg_cron just now stands for.';
