-- All that is wrong, and that is right, in one list: how the kit stands (setup_checks), what is
-- measured (health_checks), what keeps the jobs from being fired, how they and the tasks are, and
-- what lint finds of the rules. A fix is made here, of names that are quoted: none is ever read out
-- of words in which somebody else's may stand, as in an error or the reason of a pause.

-- A statement of our own among words of our own stands where a sentence begins, and ends at a
-- semicolon; what is quoted is found, too, so that nothing in it is taken for one.
create function maintenance_internal.statement_pattern()
returns text
language sql
immutable
set search_path = pg_catalog, pg_temp
return '''[^'']*''|"[^"]*"|(?:^|(?<=[.:;,)]\s)|(?<=then\s)|(?<=or\s))((?:select|call|update|delete|'
  'alter|vacuum|analyze|grant|revoke|create|drop|refresh|reindex|rollback|discard)\s'
  '(?:[^;''"]|''[^'']*''|"[^"]*")*;(?: --[^\n]*$)?)';

-- The statements of an advice; null where there is none.
create function maintenance_internal.statements_in(p_advice text)
returns text
language sql
immutable
set search_path = pg_catalog, pg_temp
begin atomic
  select string_agg(m.found[1], ' ' order by m.n)
  from regexp_matches(p_advice, maintenance_internal.statement_pattern(), 'g')
    with ordinality as m (found, n);
end;

-- What mends the cause of a row about a job.
create function maintenance_internal.job_fix(p_job maintenance.job_status)
returns text
language sql
stable
set search_path = pg_catalog, pg_temp
return case
  when not (p_job).enabled then format('select maintenance.enable_job(%L);', (p_job).job_name)
  when (p_job).scheduling = 'not installed yet'
    then 'select * from maintenance.install_schedules();'
  when (p_job).scheduling in ('removed by an operator', 'inactive in pg_cron')
      or (p_job).active and (p_job).next_run_at is null
    then maintenance_internal.schedule_advice((p_job).job_name, (p_job).declared_schedule)
  else maintenance_internal.run_advice(p_job)
end;

create function maintenance.doctor()
returns table (check_name text, status text, detail text, fix text)
language plpgsql
stable
security definer
set search_path = pg_catalog, pg_temp
set lock_timeout = '5s'
as $$
#variable_conflict use_column
declare
  v_jobs constant maintenance.job_status[] := array(select s from maintenance.job_status as s);
begin
  return query
    with setup as materialized (
      select 1 as part, c.check_name, c.status, c.detail, c.fix
      from maintenance_internal.setup_checks() as c
    ),
    found as materialized (
      select * from setup
      union all
      select 2, h.check_name,
        case h.status when 'critical' then 'failed' when 'unknown'
          -- What nobody has told; and of what is not there nothing is to be measured.
          then case when h.fix is not null then 'warning' else 'ok' end
          else h.status end,
        h.detail, h.fix
      from maintenance_internal.health_checks() as h
      union all
      -- What pg_cron lacks is told once.
      select 3, 'scheduler', case f.severity when 'critical' then 'failed' else 'warning' end,
        f.fault, coalesce(maintenance_internal.statements_in(f.mend), '-- ' || f.mend)
      from maintenance_internal.scheduler_faults(v_jobs) as f
      where f.severity in ('warning', 'critical') and f.mend <> 'select maintenance.resume();'
        and not exists (
          select from setup as c
          where c.status = 'failed' and position(c.detail in f.fault) > 0)
      union all
      select 3, s.task, case s.severity when 'critical' then 'failed' else 'warning' end,
        concat(s.description, ': ' || s.count, '. ' || s.advice), case
          when s.severity = 'critical' and s.job_name is not null
            then format('select * from maintenance.lint(%L);', s.job_name)
          when s.job_name is not null then maintenance_internal.job_fix(j)
          when s.task in ('jobs_failing', 'jobs_late') then (
            select string_agg(distinct maintenance_internal.job_fix(o), ' ')
            from unnest(v_jobs) as o
            where case s.task when 'jobs_late' then o.late_since is not null else o.enabled
              and o.last_status in ('failed', 'timeout', 'cancelled', 'interrupted', 'skipped') end)
          when s.task = 'tasks_dead' then (
            select string_agg(distinct format('select maintenance.retry_tasks(%L);', t.kind), ' ')
            from maintenance.task as t where t.state = 'dead')
          when s.task = 'tasks_quarantined' then 'select * from maintenance.pending_answer;'
          when s.task = 'tasks_leased' then (
            select format('select maintenance.retry_task(%s);', t.task_id)
            from maintenance.task as t where t.state = 'leased' order by t.leased_at limit 1)
          when s.task = 'subjects_to_erase' then 'call maintenance.tick();'
          when s.task ~ '^blobs_' then 'select maintenance.retry_blobs();'
          else '-- the detail says what to do' end
      from public.maintenance_status as s
      left join unnest(v_jobs) as j on j.job_name = s.job_name
      where s.severity in ('warning', 'critical')
        and s.task not in ('open_alerts', 'models', 'scheduler')
      union all
      -- What somebody was called for, and no other row says.
      select 3, a.cause, case a.severity when 'critical' then 'failed' else 'warning' end,
        concat_ws(': ', nullif(a.subject, ''), a.description), a.advice
      from maintenance.alert as a
      where a.closed_at is null and a.gone_at is null
        and a.cause in ('job_slow', 'backlog_growing', 'model')
      union all
      -- What has the same cure is one; and whoever drops a job loses its rule.
      select 4, coalesce(min(l.job_name), 'rules'),
        case when bool_or(l.severity = 'critical') then 'failed' else 'warning' end,
        concat(min(l.finding),
          case when count(*) > 1 then format('; the same of %s jobs', count(*)) end, '. ' || case
            when l.fix <> maintenance_internal.statements_in(l.fix) then l.fix end),
        case when l.fix ~ 'drop_job' then '-- ' || l.fix
          else coalesce(maintenance_internal.statements_in(l.fix), '-- ' || l.fix) end
      from maintenance.lint() as l
      where l.severity in ('warning', 'critical')
        and not exists (select from setup as c where c.fix = l.fix)
      group by l.fix
    )
    select f.check_name, f.status, f.detail,
      case when f.part > 1 or f.fix ~ '^--' then f.fix
        else coalesce(maintenance_internal.statements_in(f.fix), '-- ' || f.fix) end
    from (
      select * from found
      union all
      select 3, 'status', 'ok', 'nothing is to be done: select * from maintenance_status;', null
      where not exists (select from found as o where o.part = 3)
      union all
      select 4, 'rules', 'ok', 'lint finds nothing: select * from maintenance.lint();', null
      where not exists (select from found as o where o.part = 4)
    ) as f
    order by array_position(array['failed', 'warning', 'ok'], f.status), f.part, f.check_name;
end
$$;

comment on function maintenance.doctor() is
  'What is wrong and what is right, what failed first: rows (check_name, status: failed, warning '
  'or ok, detail, fix), fix being the statements to paste, for whom their comment says, else for '
  'the owner; a comment where no statement mends it (S1-11, S2-39). It looks at the setup, at '
  'what is measured, at what fires the jobs, at maintenance_status, at alerts and at lint, which '
  'plans every rule.';
