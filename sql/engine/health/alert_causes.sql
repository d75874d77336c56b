-- What somebody should be called for now, one row per cause. Nothing is counted under the rules
-- here: whether a backlog grows is read from receipts, so that a look a minute costs milliseconds,
-- however large the tables are. Where one cause has many effects, it is named alone: a scheduler
-- that is silent makes every job late.

create function maintenance_internal.alert_causes()
returns table (cause text, subject text, severity text, description text, advice text)
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
declare
  v_jobs constant maintenance.job_status[] := array(select s from maintenance.job_status as s);
  v_failures constant integer := case
    when maintenance_internal.setting('alert_failures') <= 1000
      then maintenance_internal.setting('alert_failures') end; -- greatest passes over a null
  v_rows constant bigint := maintenance_internal.setting('backlog_warning_rows');
  v_warning constant numeric := maintenance_internal.setting('run_warning_seconds');
  v_critical constant numeric := maintenance_internal.setting('run_critical_seconds');
  v_model record;
  v_silent boolean := false;
  v_unasked boolean := false;
begin
  for severity, description, advice in
    select case when bool_or(f.severity = 'critical') then 'critical' else 'warning' end,
      string_agg(f.fault, '; ' order by f.severity, f.fault),
      string_agg(f.mend, ' ' order by f.severity, f.fault)
    from maintenance_internal.scheduler_faults(v_jobs) as f
    where f.severity in ('warning', 'critical')
    having count(*) > 0
  loop
    cause := 'scheduler';
    subject := '';
    v_silent := severity = 'critical';
    return next;
  end loop;

  -- One that goes on for too long is slow, and not late.
  return query
    select f.task, '', f.severity, format('%s: %s', f.description, f.count), f.advice
    from maintenance_internal.job_faults(
      array(select s from unnest(v_jobs) as s where not coalesce(s.running, false))) as f
    where f.task = 'jobs_late' and f.severity in ('warning', 'critical') and not v_silent;

  return query
    with job as materialized (
      select j.*, s as status from maintenance_internal.job as j
      join unnest(v_jobs) as s on s.job_name = j.job_name
      where not maintenance_internal.is_own(j.statement)
    ),
    failing as materialized (
      select j.job_name, j.status,
        count(*) filter (where r.failed) as failures,
        count(*) filter (where not r.failed) as others,
        (array_agg(r.error order by r.n))[1] as error,
        -- What no retry cures: a full disk, a broken file, a bug of the server, a session that died
        -- while the server went on.
        bool_or(r.n = 1 and r.failed
          and (r.status = 'interrupted' and r.at > pg_postmaster_start_time()
            or r.sqlstate ~ '^(53[12]|58|F0|XX)')) as fatal
      from job as j
      cross join lateral (
        select e.status, e.error, e.sqlstate, e.at, e.status <> 'succeeded' as failed,
          row_number() over (order by e.at desc) as n
        from (
          select l.status, l.error, l.sqlstate, coalesce(l.started_at, l.finished_at) as at
          from maintenance_internal.run as l
          where l.job_id = j.job_id and (l.status not in ('waiting', 'skipped')
              or l.status = 'skipped' and l.error is not null)
            and l.status not in ('running', 'cancelled')
          order by coalesce(l.started_at, l.finished_at) desc
          limit greatest(v_failures, 1)
        ) as e
      ) as r
      where j.enabled
      group by j.job_name, j.status
      having bool_or(r.n = 1 and r.failed)
    )
    select 'job_failing', f.job_name, case when f.fatal then 'critical' else 'warning' end,
      concat(case when f.fatal then 'its run broke off'
        else format('%s failures in a row', f.failures) end, ': ' || f.error),
      maintenance_internal.run_advice(f.status)
    from failing as f
    where f.fatal or f.others = 0 and f.failures >= v_failures
    union all
    select 'job_slow', l.job_name, maintenance_internal.judge(l.seconds, v_warning, v_critical),
      format('its run of %s %s', to_char(l.started_at, 'YYYY-MM-DD HH24:MI'),
        case when l.is_over then format('took %s s', trunc(l.seconds))
          else format('goes on, since %s s', trunc(l.seconds)) end),
      format('select * from maintenance.run_history where job_name = %L order by run_id desc limit '
        '5;', l.job_name)
    from (
      select j.job_name, r.started_at, r.finished_at is not null as is_over,
        extract(epoch from coalesce(r.finished_at, maintenance_internal.clock()) - r.started_at)
          as seconds
      from job as j
      cross join lateral (
        select o.* from maintenance_internal.run as o
        where o.job_id = j.job_id and (o.status not in ('waiting', 'skipped')
          or o.status = 'skipped' and o.error is not null) -- by the index of the last run
        order by coalesce(o.started_at, o.finished_at) desc
        limit 1
      ) as r
      -- A VACUUM takes as long as it does; and what is a day old is no news.
      where j.enabled and j.kind <> 'statement' and (r.status <> 'running' or (j.status).running)
        and (r.finished_at < maintenance_internal.clock() - interval '1 day') is not true
        and not exists (
          select from failing as f
          where f.job_name = j.job_name
            and (f.fatal or f.others = 0 and f.failures >= v_failures))
    ) as l
    where maintenance_internal.judge(l.seconds, v_warning, v_critical) in ('warning', 'critical')
    union all
    select 'backlog_growing', b.job_name, 'warning',
      format('%s rows are left by its last run, %s by the one before, %s before that: it grows '
        'faster than it is worked off; a schedule that fires more often would mend that',
        b.lefts[1], b.lefts[2], b.lefts[3]),
      format('select * from maintenance.preview(%L);', b.job_name)
    from (
      select j.job_name, array_agg(r.rows_left order by r.n) as lefts
      from job as j
      cross join lateral (
        select e.rows_left, row_number() over (order by e.at desc) as n
        from (
          select (o.details ->> 'left')::bigint as rows_left,
            coalesce(o.started_at, o.finished_at) as at
          from maintenance_internal.run as o
          where o.job_id = j.job_id and (o.status not in ('waiting', 'skipped')
              or o.status = 'skipped' and o.error is not null)
            and o.status <> 'running'
          order by coalesce(o.started_at, o.finished_at) desc
          limit 3
        ) as e
      ) as r
      where j.enabled
      group by j.job_name
    ) as b
    where b.lefts[1] >= v_rows and b.lefts[1] > b.lefts[2] and b.lefts[2] > b.lefts[3];

  -- What is used up in a minute is no news, nor what cools for a moment.
  for v_model in
    select m.*
    from (
      select s.*, bool_and(s.state in ('blocked', 'retired', 'cooling'))
        over (partition by s.carrier) as none_left
      from maintenance_internal.model_states(maintenance_internal.moment()) as s
      where s.state <> 'disabled'
    ) as m
    left join maintenance_internal.cool_down as c on c.model = m.model and c.kind = '*'
    where m.state in ('warning', 'failing_over', 'blocked') and m.span is distinct from 'minute'
      or m.state in ('cooling', 'retired') and c.until - c.since > interval '10 seconds'
  loop
    cause := 'model';
    subject := v_model.model;
    severity := case when v_model.none_left then 'critical' else 'warning' end;
    description := concat_ws(', ', v_model.state, v_model.reason,
      to_char(v_model.until, '"until" YYYY-MM-DD HH24:MI:SSOF'));
    advice := 'select * from maintenance.model_status;';
    v_unasked := v_unasked or v_model.none_left and v_model.carrier = 'worker';
    return next;
  end loop;

  for cause, description, severity, advice in
    select t.task, concat(t.description, ': ' || t.count), t.severity,
      case when t.count is not null then coalesce(t.advice, '') end
    from (
      select * from maintenance_internal.task_backlog() as k
      -- Where no model can be asked, that is why tasks wait.
      where k.task <> 'models' and not (k.task = 'tasks_due' and v_unasked)
      union all
      select * from maintenance_internal.blob_backlog()
    ) as t
    where t.severity in ('warning', 'critical')
  loop
    -- What cannot be looked at is not gone.
    if advice is null then
      raise exception 'the tables of tasks, or of blobs, are locked' using errcode = '55P03';
    end if;
    subject := '';
    return next;
  end loop;
  return query
    select 'health', h.check_name, h.status, h.detail, h.fix
    from maintenance_internal.health_checks() as h
    where h.status in ('warning', 'critical') and h.check_name <> 'models'
      -- Where that is why nothing is fired, it is told there.
      and not (v_silent and h.check_name = 'connections');

  return query
    select 'setup', c.check_name, case c.status when 'failed' then 'critical' else 'warning' end,
      c.detail, c.fix
    from maintenance_internal.setup_checks() as c
    -- Those of pg_cron, and a pause, are told as scheduler.
    where c.status in ('failed', 'warning')
      and c.check_name not in ('pg_cron', 'launcher', 'paused')
      and not (v_silent and c.check_name in ('time_outs', 'owner'));
end
$$;
