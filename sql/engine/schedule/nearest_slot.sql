-- The scheduled minute of what stands in pg_cron, which may be more than we would take: next
-- after a time or, not forward, the last up to it. Null for a schedule that never fires, or that
-- only pg_cron can read. p_zone is pg_cron's time zone, of cron_state.

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
  v_local constant timestamp := p_at at time zone p_zone;
  v_hour constant interval := case when p_forward then '1 hour' else '-1 hour' end;
  v_slot timestamptz;
begin
  v_slot := maintenance_internal.walk_slots(v_schedule, v_local, p_at, p_forward, p_zone);
  -- The clocks show this hour twice, and this is its first turn (or, backward, its second): in
  -- the other turn come minutes that the clock has shown, or will show, too.
  if (p_at + v_hour) at time zone p_zone = v_local then
    v_slot := case when p_forward
      then least(v_slot, maintenance_internal.walk_slots(
        v_schedule, v_local - v_hour, p_at, p_forward, p_zone))
      else greatest(v_slot, maintenance_internal.walk_slots(
        v_schedule, v_local - v_hour, p_at, p_forward, p_zone)) end;
  end if;
  return v_slot;
exception when sqlstate 'PM006' then
  return null;
end
$$;

-- The first slot behind a moment, or up to it, of the minutes that a clock shows from some time
-- on.
create function maintenance_internal.walk_slots(
  p_schedule text,
  p_from timestamp,
  p_at timestamptz,
  p_forward boolean,
  p_zone text)
returns timestamptz
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $$
declare
  v_minute timestamp := p_from;
  v_slot timestamptz;
begin
  loop
    v_minute := maintenance_internal.nearest_minute(p_schedule, v_minute, p_forward);
    v_slot := v_minute at time zone p_zone;
    if v_slot is null then
      return null;
    -- A minute that the clocks leave out never comes.
    elsif v_slot at time zone p_zone = v_minute then
      -- One that they show twice comes twice; Postgres means the second.
      if (v_slot - interval '1 hour') at time zone p_zone = v_minute
        and (p_forward and v_slot - interval '1 hour' > p_at or not p_forward and v_slot > p_at)
      then
        v_slot := v_slot - interval '1 hour';
      end if;
      if (v_slot > p_at) = p_forward then
        return v_slot;
      end if;
    end if;
    if not p_forward then
      v_minute := v_minute - interval '1 minute';
    end if;
  end loop;
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
