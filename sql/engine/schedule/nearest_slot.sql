-- The scheduled minute of what stands in pg_cron, which may be more than we would take: next after
-- a time or, not forward, the last up to it. Null for a schedule that never fires, or that only
-- pg_cron can read. p_zone is pg_cron's time zone, of cron_state.

create function maintenance_internal.nearest_slot(
  p_schedule text,
  p_at timestamptz,
  p_forward boolean,
  p_zone text)
returns timestamptz
language plpgsql
stable
security definer
set search_path = pg_catalog, pg_temp
set lock_timeout = '5s'
as $$
declare
  -- pg_cron ignores what stands behind the fifth field.
  v_schedule constant text :=
    coalesce(substring(p_schedule from '^[ \t]*(?:[^ \t]+[ \t]+){4}[^ \t]+'), p_schedule);
  v_minute timestamp;
  v_slot timestamptz;
begin
  v_minute := maintenance_internal.nearest_minute(
    v_schedule, p_at at time zone p_zone, p_forward);
  -- A minute that the clocks leave out never comes.
  while v_minute <> v_minute at time zone p_zone at time zone p_zone loop
    v_minute := maintenance_internal.nearest_minute(v_schedule,
      v_minute - case when p_forward then interval '0' else interval '1 minute' end, p_forward);
  end loop;
  -- One that they show twice means the first time that it can.
  v_slot := v_minute at time zone p_zone;
  if (v_slot - interval '1 hour') at time zone p_zone = v_minute
    and (p_forward and v_slot - interval '1 hour' > p_at or not p_forward and v_slot > p_at) then
    v_slot := v_slot - interval '1 hour';
  end if;
  return v_slot;
exception when sqlstate 'PM006' then
  return null;
end
$$;

-- The same by the schedule of a job: the one in pg_cron, active or not, else the declared one.
create function maintenance_internal.slot_near(
  p_job maintenance_internal.job,
  p_at timestamptz,
  p_forward boolean)
returns timestamptz
language sql
stable
set search_path = pg_catalog, pg_temp
return maintenance_internal.nearest_slot(
  coalesce(
    (select c.schedule from maintenance_internal.cron_jobs() as c
      where c.job_name = (p_job).job_name),
    (p_job).schedule),
  p_at, p_forward, (maintenance_internal.cron_state()).zone);
