-- The scheduled minutes of what stands in pg_cron, which need not be what we would take.

-- The minute that a schedule names next after a time or, not forward, named last, in pg_cron's own
-- time zone; null for one that never fires or that only pg_cron can read.

create function maintenance_internal.nearest_slot(
  p_schedule text,
  p_at timestamptz,
  p_forward boolean)
returns timestamptz
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $$
declare
  v_zone text := (maintenance_internal.cron_state()).zone;
begin
  -- pg_cron ignores what stands behind the fifth field.
  return maintenance_internal.nearest_minute(
    coalesce(substring(p_schedule from '^[ \t]*(?:[^ \t]+[ \t]+){4}[^ \t]+'), p_schedule),
    p_at at time zone v_zone, p_forward) at time zone v_zone;
exception when sqlstate 'PM006' then
  return null;
end
$$;

-- The scheduled minute that a run stands for which pg_cron started at some moment.
create function maintenance_internal.slot_of(p_job maintenance_internal.job, p_at timestamptz)
returns timestamptz
language sql
stable
set search_path = pg_catalog, pg_temp
return maintenance_internal.nearest_slot(
  coalesce(
    (select c.schedule from maintenance_internal.cron_jobs() as c
      where c.job_name = (p_job).job_name),
    (p_job).schedule),
  p_at, false);
