-- The window of a job: the time of day in which pg_cron and the tick may have it run. Inside is
-- what a clock on the wall of its zone says, so that a change of clocks needs no rule of its own.

create function maintenance_internal.in_window(p_job maintenance_internal.job, p_at timestamptz)
returns boolean
language sql
stable
set search_path = pg_catalog, pg_temp
return case
  when (p_job).window_start is null then true
  when (p_job).window_start < (p_job).window_end
    then (p_at at time zone (p_job).window_zone)::time >= (p_job).window_start
      and (p_at at time zone (p_job).window_zone)::time < (p_job).window_end
  else (p_at at time zone (p_job).window_zone)::time >= (p_job).window_start
    or (p_at at time zone (p_job).window_zone)::time < (p_job).window_end
end;

-- The first minute from a time on that is inside: the time itself where it is.
create function maintenance_internal.window_opens(p_job maintenance_internal.job, p_at timestamptz)
returns timestamptz
language sql
stable
set search_path = pg_catalog, pg_temp
return case
  when maintenance_internal.in_window(p_job, p_at) then p_at
  else coalesce((
    -- Two days: a short window that the change of clocks leaves out opens on the next.
    select m.at
    from generate_series(date_trunc('minute', p_at) + interval '1 minute',
      p_at + interval '50 hours', interval '1 minute') as m (at)
    where maintenance_internal.in_window(p_job, m.at)
    order by m.at
    limit 1), p_at + interval '1 day')
end;
