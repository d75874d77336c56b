-- The tasks' rows of maintenance_status: what is due, what waits for a decision, what is dead. None
-- where there is no kind.

create function maintenance_internal.task_backlog()
returns table (
  task text,
  count bigint,
  description text,
  severity text,
  oldest timestamptz,
  advice text)
language plpgsql
stable
security definer
set search_path = pg_catalog, pg_temp
set lock_timeout = '1s'
as $$
#variable_conflict use_column
declare
  v_cap constant integer := 10000;
  v_now constant timestamptz := clock_timestamp();
begin
  if not exists (select from maintenance.kind) then
    return;
  end if;
  return query
    select 'tasks_due', count(*), 'Tasks that wait for a worker' || case when count(*) >= v_cap
        then format('; at least %s', v_cap) else '' end,
      case when count(*) = 0 then 'ok'
        when min(d.available_at) < v_now - interval '1 hour' then 'warning'
        else 'notice' end,
      min(d.available_at),
      case when min(d.available_at) < v_now - interval '1 hour'
        then 'Due for more than an hour: is a worker running? npm start' end
    from (
      select t.available_at from maintenance_internal.lane as l
      cross join lateral (
        select r.available_at from maintenance.task as r
        where r.state = 'ready' and r.kind = l.kind and r.priority = l.priority
          and r.available_at <= v_now
        order by r.available_at
        limit v_cap
      ) as t
      limit v_cap
    ) as d;
  return query
    select 'tasks_quarantined', count(*), 'Answers that went too far to be applied unasked'
        || case when count(*) >= v_cap then format('; at least %s', v_cap) else '' end,
      case when count(*) = 0 then 'ok' else 'warning' end,
      min(d.created_at),
      case when count(*) > 0 then 'select task_id, kind, last_error from maintenance.task '
        'where state = ''quarantined''; then select maintenance.approve_task(task_id); or '
        'select maintenance.reject_task(task_id);' end
    from (
      select t.created_at from maintenance.task as t
      where t.state = 'quarantined'
      order by t.task_id
      limit v_cap
    ) as d;
  return query
    select 'tasks_dead', count(*), 'Tasks that were given up' || case when count(*) >= v_cap
        then format('; at least %s', v_cap) else '' end,
      case when count(*) = 0 then 'ok' else 'warning' end,
      min(d.finished_at),
      case when count(*) > 0 then 'select task_id, kind, last_error from maintenance.task '
        'where state = ''dead''; then select maintenance.retry_task(task_id);' end
    from (
      select t.finished_at from maintenance.task as t
      where t.state = 'dead'
      order by t.finished_at
      limit v_cap
    ) as d;
exception when lock_not_available then -- says so, and takes no other row of the status with it
  return query
    select 'tasks_due', null::bigint, 'Tasks that wait for a worker: cannot be counted', 'critical',
      null::timestamptz, maintenance_internal.lock_advice('maintenance.task');
end
$$;
