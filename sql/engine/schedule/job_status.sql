-- A job a row: whether it is on, when it runs, how it ran last.

create view maintenance.job_status as
select
  j.job_name,
  j.kind,
  j.description,
  j.enabled,
  case when g.readable then c.schedule else j.schedule end as schedule,
  j.schedule as declared_schedule,
  j.enabled and case when g.readable then coalesce(c.active, false)
    else g.gap is null and i.job_id is not null end as active,
  case
    when g.gap is not null then 'not scheduled here: ' || g.gap
    when not g.readable then 'cron.job cannot be read here'
    when c.schedule is null and j.schedule is null then 'no schedule'
    when c.schedule is null and i.job_id is null then 'not installed yet'
    when c.schedule is null then 'removed by an operator'
    when not c.active then 'inactive in pg_cron'
    when f.fault is not null then 'edited by an operator: ' || f.fault
    when c.schedule is distinct from i.schedule then 'edited by an operator'
    else 'scheduled'
  end as scheduling,
  case when j.enabled and g.readable and c.active
      then maintenance.nearest_slot(c.schedule, maintenance.clock(), true)
    when j.enabled and not g.readable and i.job_id is not null
      then maintenance.nearest_slot(j.schedule, maintenance.clock(), true)
  end as next_run_at,
  l.status = 'running' as running,
  l.started_at as last_run_at,
  l.status as last_status,
  l.error as last_error,
  s.started_at as last_success_at
from maintenance.job as j
cross join (
  select maintenance.cron_gap() as gap, maintenance.cron_readable() as readable
) as g
left join maintenance.cron_jobs() as c on c.job_name = j.job_name
left join lateral maintenance.cron_fault(c.schedule) as f on c.schedule is not null
left join maintenance.installed_schedule as i
  on i.job_id = j.job_id
  and i.database_oid = (select d.oid from pg_database as d where d.datname = current_database())
left join lateral (
  select r.* from maintenance.run as r
  where r.job_name = j.job_name and r.status <> 'skipped'
  order by r.run_id desc
  limit 1
) as l on true
left join lateral (
  select r.started_at from maintenance.run as r
  where r.job_name = j.job_name and r.status = 'succeeded'
  order by r.run_id desc
  limit 1
) as s on true;

comment on view maintenance.job_status is
  'A row a job: its schedule in force (pg_cron''s where that can be read, else the declared one), '
  'what scheduling says of it, when it runs next, and how it ran last (skipped runs left out).';
