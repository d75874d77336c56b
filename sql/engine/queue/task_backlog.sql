-- The tasks' rows of maintenance_status: what is due and what keeps it, what is with a worker,
-- what waits for a decision, what is dead, who is to be forgotten. None where there is no kind.

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
  v_hold record;
begin
  if not exists (select from maintenance.kind) then
    return;
  end if;
  select count(*) as tasks, min(d.due_at) as since, min(d.available_at) as oldest into v_row
  from (
    select t.available_at, t.due_at
    from maintenance.kind as k
    cross join generate_series(-5, 5) as p (priority)
    cross join lateral (
      select r.available_at, r.due_at from maintenance.task as r
      where r.state = 'ready' and r.kind = k.kind and r.priority = p.priority
        and r.available_at <= v_now
      order by r.available_at
      limit v_cap
    ) as t
    limit v_cap
  ) as d;
  -- The last word of Gemini's: a refused key keeps all back, each for a minute.
  select 'warning' as severity, format('Gemini refuses the key of the worker, or its project (task '
    '%s): mend GEMINI_API_KEY, and start the worker anew. What it was refused for goes on within a '
    'minute.', c.task_id) as advice
  into v_hold
  from (
    select m.outcome, m.task_id from maintenance.model_call as m
    where m.settled_at is not null
    order by m.call_id desc
    limit 1
  ) as c
  where c.outcome = 'configuration' and exists (
    select from maintenance.task as t where t.task_id = c.task_id and t.state = 'ready');
  if not found then
    select case
        when bool_or(h.hold ~ '^(paused|stopped) since') then 'notice'
        when bool_or(h.hold ~ '^the budget') or v_row.since < v_now - interval '15 minutes'
          then 'warning'
        else 'notice' end as severity,
      string_agg(distinct upper(left(h.hold, 1)) || substr(h.hold, 2) || case
        when h.hold ~ '^(paused|stopped) since' then '. select maintenance.resume();'
        when h.hold ~ '^the budget' then '. More of it: select maintenance.configure('
          '''daily_budget_usd'', ' || 1 + 2 * (
            select s.value::numeric from maintenance.setting as s
            where s.name = 'daily_budget_usd') || ');'
        else '. Who is asked when: select * from maintenance.model_status;' end, ' ') as advice
    into v_hold
    from maintenance_internal.task_holds(v_now) as h
    having count(*) > 0;
  end if;

  return query
    select 'tasks_due', v_row.tasks, 'Tasks that wait for a worker' || case
        when v_row.tasks >= v_cap then format('; at least %s', v_cap) else '' end,
      case
        when v_hold.severity is not null then v_hold.severity
        when v_row.tasks = 0 then 'ok'
        when v_row.oldest < v_now - interval '1 hour' then 'warning'
        else 'notice'
      end,
      v_row.since,
      case
        when v_hold.advice is not null then v_hold.advice
        when v_row.oldest < v_now - interval '1 hour'
          then 'Due for more than an hour: is a worker running? npm start'
      end;

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
      case when count(*) > 0 then 'What each would do: select * from maintenance.pending_answer; '
        'then select maintenance.approve_task(task_id); or select '
        'maintenance.reject_task(task_id);' end
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

  return query
    select 'subjects_to_erase', count(*), 'Subjects that were deleted, and are to be forgotten',
      case when min(e.noted_at) < v_now - interval '10 minutes' then 'warning' else 'notice' end,
      min(e.noted_at),
      case when min(e.noted_at) < v_now - interval '10 minutes' then
        coalesce(max(e.error) || '. ', '') || 'The tick forgets them, thousands a minute: is it at '
        'work? By hand, as the owner: call maintenance.tick();' end
    from maintenance_internal.erasure as e
    where e.erased_in is null
    having count(*) > 0;

  select count(*) filter (where m.state <> 'ok') as models, min(m.until) as until,
    case
      when not bool_or(m.state in ('ok', 'warning', 'failing_over')) then 'critical'
      when bool_or(m.state not in ('ok', 'warning')) then 'warning'
      when bool_or(m.state = 'warning') then 'notice'
      else 'ok'
    end as severity,
    string_agg(concat(m.model, ': ', m.state, ', ', m.reason, to_char(m.until, '", until" '
        'YYYY-MM-DD HH24:MI:SSOF')), '; ' order by m.carrier, m.position)
      filter (where m.state <> 'ok') as advice
  into v_row
  from maintenance_internal.model_states(v_now) as m
  left join maintenance_internal.cool_down as c on c.model = m.model and c.kind = '*'
  -- What cools for a moment is no news.
  where m.state <> 'disabled'
    and (m.state <> 'cooling' or c.until - c.since > interval '10 seconds');
  return query
    select 'models', v_row.models,
      'Models that have used 80 % of a limit, or are not asked now', v_row.severity,
      null::timestamptz, v_row.advice || '. select * from maintenance.model_status;';
exception when lock_not_available then -- says so, and takes no other row of the status with it
  return query
    select 'tasks_due', null::bigint, 'Tasks that wait for a worker: cannot be counted', 'critical',
      null::timestamptz, maintenance_internal.lock_advice('maintenance.task');
end
$$;
