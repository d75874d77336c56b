-- Schedules that fire nothing, and those that are too narrow for their job. For lint.

create function maintenance_internal.lint_schedule(p_job_name text)
returns setof maintenance.finding
language sql
stable
set search_path = pg_catalog, pg_temp
begin atomic
  select s.job_name, 'warning', format('its schedule "%s": %s', s.schedule, s.scheduling),
    maintenance_internal.schedule_advice(s.job_name, s.declared_schedule)
  from maintenance.job_status as s
  where s.active and s.next_run_at is null and s.job_name = coalesce(p_job_name, s.job_name)
  union all
  select s.job_name, 'warning', format('its last run took %s, and it is due again after %s: '
    'pg_cron runs it back to back', date_trunc('second', l.took), l.pause),
    case when s.kind = 'statement' then 'A rarer schedule: maintenance.set_schedule(...).'
      else format('select maintenance.configure_job(%L, budget => %L); or a rarer schedule.',
        s.job_name, l.pause / 2) end
  from (
    select v.*, v.next_run_at + interval '1 second' as after, g.zone
    from maintenance.job_status as v
    cross join maintenance_internal.cron_state() as g
    where v.active and v.job_name = coalesce(p_job_name, v.job_name)
  ) as s
  cross join lateral (
    select r.finished_at - r.started_at as took,
      maintenance_internal.nearest_slot(s.schedule, s.after, true, s.zone) - s.next_run_at as pause
    from maintenance_internal.job as j
    join maintenance_internal.run as r on r.job_id = j.job_id
      and r.status not in ('waiting', 'skipped')
    where j.job_name = s.job_name
    order by coalesce(r.started_at, r.finished_at) desc
    limit 1
  ) as l
  where l.took > l.pause;
end;
