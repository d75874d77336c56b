-- Keeps what has changed in pg_cron since the last look there, of one job or of all: its schedule,
-- whether it is active, whether it is there at all. pg_cron does not say who edits it; our own
-- calls do. What is there after a restore, or since the owner was renamed, is ours again.

create function maintenance_internal.record_schedule_edits(
  p_changed_by text default 'pg_cron',
  p_job_id integer default null)
returns void
language sql
set search_path = pg_catalog, pg_temp
begin atomic
  with state as materialized (
    select s.* from maintenance_internal.cron_state() as s where s.readable
  ), cron as materialized (
    select c.* from maintenance_internal.cron_jobs() as c
  ), found as materialized (
    select i.job_id, j.job_name, i.seen, s.home, s.username,
      jsonb_build_object('schedule', c.schedule, 'active', c.active) as there
    from maintenance_internal.installed_schedule as i
    join maintenance_internal.job as j on j.job_id = i.job_id
    cross join state as s
    left join cron as c on c.job_name = j.job_name
    where (p_job_id is null or i.job_id = p_job_id)
      and case when (i.home, i.username) = (s.home, s.username)
        then i.seen is distinct from jsonb_build_object('schedule', c.schedule, 'active', c.active)
        else c.job_name is not null end
    for no key update of i, j skip locked
  ), edit as (
    insert into maintenance.edit (job_name, changed_by, what)
    select f.job_name, p_changed_by,
      jsonb_object_agg(s.key, jsonb_build_array(s.value, f.there -> s.key))
    from found as f
    cross join lateral jsonb_each(f.seen) as s
    where s.value is distinct from f.there -> s.key
    group by f.job_id, f.job_name
  ), promise as (
    update maintenance_internal.job as j
    set promised_at = maintenance_internal.clock()
    from found as f
    where j.job_id = f.job_id and f.seen is not null
  )
  update maintenance_internal.installed_schedule as i
  set seen = f.there, home = f.home, username = f.username
  from found as f
  where i.job_id = f.job_id;
end;
