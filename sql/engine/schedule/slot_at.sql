-- The scheduled minute that a run stands for which pg_cron fired at some moment; null where only
-- pg_cron can read the schedule.

create function maintenance.slot_at(p_job maintenance.job, p_at timestamptz)
returns timestamptz
language sql
stable
set search_path = pg_catalog, pg_temp
return maintenance.nearest_slot(
  coalesce(
    (select c.schedule from maintenance.cron_jobs() as c where c.job_name = (p_job).job_name),
    (p_job).schedule),
  p_at, false);

comment on function maintenance.slot_at(maintenance.job, timestamptz) is
  'The scheduled minute that a run stands for which pg_cron fired at some moment; null where only '
  'pg_cron can read the schedule.';
