-- One row per backlog: what is due now under each rule, read with the rule itself, up to 10,000;
-- then what is to be said of all jobs, and of pg_cron.
-- Each count stands in a block of its own: a broken rule makes its own row critical and no other.
-- Locks are waited for a second in all.

create function maintenance_internal.backlog()
returns table (
  task text,
  count bigint,
  description text,
  severity text,
  oldest timestamptz,
  job_name text,
  schedule text,
  active boolean,
  last_run_at timestamptz,
  last_status text,
  next_run_at timestamptz,
  advice text)
language plpgsql
stable
security definer
set search_path = pg_catalog, pg_temp
set lock_timeout = '1s'
as $$
declare
  v_cap constant integer := 10000;
  v_path constant text := maintenance_internal.owner_path();
  v_zone constant text := (maintenance_internal.cron_state()).zone;
  v_pause constant text := maintenance_internal.pause_text();
  v_row record;
  v_job maintenance.job_status;
  v_jobs maintenance.job_status[];
  v_policy maintenance_internal.policy;
  v_age interval;
  v_message text;
  v_state text;
  v_context text;
begin
  if not exists (select from maintenance_internal.job) then
    task := 'registered_jobs';
    count := 0;
    severity := 'critical';
    description := 'The engine is installed, and no job is registered: nothing is maintained here';
    advice := 'As the owner: select * from maintenance.register();';
    return next;
    return;
  end if;
  begin
    v_jobs := array(select s from maintenance.job_status as s);
  exception when lock_not_available then
    task := 'scheduler';
    severity := 'critical';
    description := 'A table of the kit is locked: what is due, and how jobs ran, cannot be told';
    advice := maintenance_internal.lock_advice(null);
    return next;
    return;
  end;
  for v_row in
    select s, j.job_id, maintenance_internal.promised_at(j) as promised_at, j.backlog_name,
      j.backlog_function
    from unnest(v_jobs) as s
    join maintenance_internal.job as j on j.job_name = s.job_name
    where j.kind = 'policy' or j.backlog_function is not null
    -- The engine's own come after the application's.
    order by exists (select from maintenance_internal.policy as p
      where p.job_id = j.job_id and p.target ~ '^maintenance(_internal)?\.'), j.job_id
  loop
    v_job := v_row.s;
    task := coalesce(v_row.backlog_name, v_job.job_name);
    count := null;
    oldest := null;
    description := v_job.description;
    job_name := v_job.job_name;
    schedule := v_job.schedule;
    active := v_job.active;
    last_run_at := v_job.last_run_at;
    last_status := v_job.last_status;
    next_run_at := v_job.next_run_at;
    begin
      if v_job.kind = 'policy' then
        v_policy := maintenance_internal.find_policy(v_job.job_name);
        select c.due, c.oldest into backlog.count, backlog.oldest
        from maintenance_internal.count_due(
          v_policy, maintenance_internal.clock() - v_policy.keep, v_cap, v_path) as c;
        v_age := case when isfinite(oldest)
          then maintenance_internal.clock() - v_policy.keep - oldest end;
      else
        select c.due, c.oldest into backlog.count, backlog.oldest
        from maintenance_internal.call_backlog(v_row.backlog_function, v_cap, v_path) as c;
        v_age := case when isfinite(oldest) then maintenance_internal.clock() - oldest end;
      end if;
      if count >= v_cap then
        description := description || format('; at least %s', v_cap);
      end if;

      severity := 'warning';
      advice := null;
      if count = 0 then
        severity := 'ok';
      elsif v_job.running then
        severity := 'notice';
        advice := 'A run is going on.';
      elsif v_pause is not null then
        severity := 'notice';
        advice := format('All jobs are %s. select maintenance.resume();', v_pause);
      elsif not v_job.enabled then
        advice := format('Disabled. select maintenance.enable_job(%L);', job_name);
      elsif v_job.waiting is not null then
        severity := 'notice';
        advice := format('A run waits for %s.', v_job.waiting);
      elsif v_job.last_status in ('failed', 'timeout', 'cancelled', 'interrupted', 'skipped') then
        advice := case when v_job.last_status = 'failed'
          then format('The last run failed: %s. Mend it, then: ', v_job.last_error)
          when v_job.last_status = 'skipped'
            then format('The last run was given up: %s. ', v_job.last_error)
          else format('The last run was %s. ', v_job.last_status) || coalesce((
            select l.finding || ': ' || l.fix || ' Then: '
            from maintenance_internal.job as j, maintenance_internal.lint_session(j) as l
            where j.job_id = v_row.job_id limit 1), '') end
          || maintenance_internal.run_advice(v_job);
      elsif v_job.late_since is not null then
        advice := format('No run since %s, when one was due: see jobs_late. %s',
          to_char(v_job.late_since, 'YYYY-MM-DD HH24:MI'),
          maintenance_internal.run_advice(v_job));
      elsif v_job.scheduling = 'not installed yet' then
        advice := 'Not in pg_cron yet. select * from maintenance.install_schedules();';
      elsif v_job.scheduling in ('removed by an operator', 'inactive in pg_cron')
        or active and next_run_at is null then
        advice := format('Not fired: %s. %s', v_job.scheduling,
          maintenance_internal.schedule_advice(job_name, v_job.declared_schedule));
      elsif not active then
        advice := format('Not fired: %s. %s', v_job.scheduling,
          maintenance_internal.run_advice(v_job));
      elsif v_age > 2 * (maintenance_internal.nearest_slot(schedule, next_run_at, true, v_zone)
          - next_run_at)
        -- Rows fall due between two runs: late are those that two firings should have taken,
        -- since there was one.
        and maintenance_internal.nearest_slot(schedule, v_row.promised_at, true, v_zone)
          <= maintenance_internal.clock() then
        advice := format(case v_job.kind
            when 'policy' then 'Behind its schedule. select * from maintenance.preview(%L);'
            else 'Behind its schedule. select * from maintenance.run_history where job_name = %L '
              'order by run_id desc limit 5;' end, job_name);
      else
        severity := 'notice';
      end if;
    exception when others or assert_failure then
      get stacked diagnostics v_state = returned_sqlstate, v_message = message_text,
        v_context = pg_exception_context;
      severity := 'critical';
      description := format('%s: cannot be counted: %s', v_job.description,
        maintenance_internal.error_text(v_state, v_message, v_context));
      advice := format('select * from maintenance.lint(%L);', job_name);
      if v_state = '55P03' then
        perform set_config('lock_timeout', '20ms', true); -- the second is over
        advice := maintenance_internal.lock_advice(
          case when v_job.kind = 'policy' then v_policy.target end);
      end if;
    end;
    return next;
  end loop;

  job_name := null;
  schedule := null;
  active := null;
  last_run_at := null;
  last_status := null;
  next_run_at := null;
  begin
    for task, count, description, severity, oldest, advice in
      select f.task, f.count, f.description, f.severity, f.oldest, f.advice
      from maintenance_internal.job_faults(v_jobs) as f
    loop
      return next;
    end loop;
    task := 'scheduler';
    oldest := null;
    description := 'What keeps the jobs of this database from being started';
    select count(*), coalesce((array['notice', 'warning', 'critical'])[max(
        array_position(array['notice', 'warning', 'critical'], f.severity))], 'ok'),
      string_agg(concat_ws('. ', f.fault, f.mend), ' '
        order by array_position(array['critical', 'warning', 'notice'], f.severity), f.fault)
    into backlog.count, backlog.severity, backlog.advice
    from maintenance_internal.scheduler_faults(v_jobs) as f;
  exception when others or assert_failure then
    get stacked diagnostics v_state = returned_sqlstate, v_message = message_text,
      v_context = pg_exception_context;
    task := 'scheduler';
    count := null;
    severity := 'critical';
    description := 'What is to be said of all jobs, and of pg_cron, cannot be found out: '
      || maintenance_internal.error_text(v_state, v_message, v_context);
    advice := 'select * from maintenance.job_status;';
  end;
  return next;
end
$$;

-- Who holds a lock that keeps a rule from being counted: on its table; or else on any, since it
-- may look into others.
create function maintenance_internal.lock_advice(p_target text)
returns text
language sql
stable
set search_path = pg_catalog, pg_temp
begin atomic
  select coalesce(
    string_agg(distinct format('%s is locked by process %s: select state, state_change, query '
      'from pg_stat_activity where pid = %2$s;', l.relation::regclass, l.pid), ' '),
    'Its table was locked by somebody else: look again.')
  from (
    select k.relation, k.pid, k.is_target, bool_or(k.is_target) over () as any_target
    from (
      select o.relation, o.pid, o.relation = to_regclass(p_target)::oid
        or o.relation = any (maintenance_internal.leaf_tables(to_regclass(p_target))) as is_target
      from pg_locks as o
      join pg_class as c on c.oid = o.relation and c.relkind in ('r', 'p', 'm')
      where o.locktype = 'relation' and o.mode = 'AccessExclusiveLock' and o.granted
        and o.pid <> pg_backend_pid() and c.relnamespace <> 'pg_catalog'::regnamespace
        and o.database = (select d.oid from pg_database as d where d.datname = current_database())
    ) as k
  ) as l
  where l.is_target or l.any_target is not true;
end;
