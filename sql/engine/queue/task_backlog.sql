-- The tasks' rows of maintenance_status: what is due and what keeps it, what is with a worker, what
-- waits for a decision, what is dead. None where there is no kind.

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
  v_now constant timestamptz := maintenance_internal.moment();
  v_row record;
  v_hold text;
begin
  if not exists (select from maintenance.kind) then
    return;
  end if;
  -- The last word of Gemini's: a refused key keeps all back, and each worker for a minute.
  select format('Gemini refuses the key of the worker, or its project (task %s): mend '
    'GEMINI_API_KEY, and start the worker anew.', c.task_id)
  into v_hold
  from (
    select m.outcome, m.task_id from maintenance.model_call as m
    where m.settled_at is not null
    order by m.call_id desc
    limit 1
  ) as c
  where c.outcome = 'configuration';
  if v_hold is null then
    select string_agg(distinct upper(left(h.hold, 1)) || substr(h.hold, 2) || case
      when h.hold ~ '^the budget' then '. More of it: select maintenance.configure('
        '''daily_budget_usd'', ' || 1 + 2 * (
          select s.value::numeric from maintenance.setting as s where s.name = 'daily_budget_usd')
        || ');'
      else '. Who is asked when: select * from maintenance.model_status;' end, ' ')
    into v_hold
    from maintenance_internal.task_holds(v_now) as h;
  end if;

  return query
    select 'tasks_due', count(*), 'Tasks that wait for a worker' || case when count(*) >= v_cap
        then format('; at least %s', v_cap) else '' end,
      case when count(*) = 0 then 'ok'
        when min(d.available_at) < v_now - interval '1 hour' or v_hold ~ 'GEMINI_API_KEY'
          then 'warning'
        else 'notice' end,
      min(d.available_at),
      case when count(*) = 0 then null
        when v_hold is not null then v_hold
        when min(d.available_at) < v_now - interval '1 hour'
          then 'Due for more than an hour: is a worker running? npm start' end
    from (
      select t.available_at
      from maintenance.kind as k
      cross join generate_series(-5, 5) as p (priority)
      cross join lateral (
        select r.available_at from maintenance.task as r
        where r.state = 'ready' and r.kind = k.kind and r.priority = p.priority
          and r.available_at <= v_now
        order by r.available_at
        limit v_cap
      ) as t
      limit v_cap
    ) as d;

  select count(*) as tasks, min(d.leased_at) as since,
    (array_agg(d.task_id order by d.leased_at))[1] as task_id,
    (array_agg(d.worker order by d.leased_at))[1] as worker into v_row
  from (
    select t.task_id, t.worker, t.leased_at from maintenance.task as t
    where t.state = 'leased'
    limit v_cap
  ) as d;
  return query
    select 'tasks_leased', v_row.tasks, 'Tasks that are with a worker'
        || case when v_row.tasks >= v_cap then format('; at least %s', v_cap) else '' end,
      case when v_row.since < v_now - interval '1 hour' then 'warning' else 'ok' end,
      v_row.since,
      case when v_row.since < v_now - interval '1 hour' then format('Task %s is with %s for more '
        'than an hour. To take it back: select maintenance.retry_task(%1$s);', v_row.task_id,
        v_row.worker) end;

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

  select count(*) as tasks, min(d.finished_at) as since,
    string_agg(distinct format('select maintenance.retry_tasks(%L);', d.kind), ' ') as retry
  into v_row
  from (
    select t.finished_at, t.kind from maintenance.task as t
    where t.state = 'dead'
    order by t.finished_at
    limit v_cap
  ) as d;
  return query
    select 'tasks_dead', v_row.tasks, 'Tasks that were given up' || case when v_row.tasks >= v_cap
        then format('; at least %s', v_cap) else '' end,
      case when v_row.tasks = 0 then 'ok' else 'warning' end,
      v_row.since,
      case when v_row.tasks > 0 then 'select task_id, kind, last_error from maintenance.task '
        'where state = ''dead''; then one: select maintenance.retry_task(task_id); or all of a '
        'kind: ' || v_row.retry end;
exception when lock_not_available then -- says so, and takes no other row of the status with it
  return query
    select 'tasks_due', null::bigint, 'Tasks that wait for a worker: cannot be counted', 'critical',
      null::timestamptz, maintenance_internal.lock_advice('maintenance.task');
end
$$;
