-- The scheduled minute that a run stands for which pg_cron fired at some moment.

create function maintenance.slot_at(p_job maintenance.job, p_at timestamptz)
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
    coalesce(v_schedule, p_job.schedule), p_at at time zone v_zone, false) at time zone v_zone;
end
$$;

comment on function maintenance.slot_at(maintenance.job, timestamptz) is
  'The scheduled minute that a run stands for which pg_cron fired at some moment.';
