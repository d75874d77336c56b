-- One row per backlog: what is due now under each rule, read with the rule itself, up to 10,000.
-- Each count stands in a block of its own: a broken rule makes its own row critical and no other.

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
  v_status record;
  v_policy maintenance_internal.policy;
  v_late interval;
  v_message text;
  v_state text;
  v_context text;
begin
  if not exists (select from maintenance_internal.job) then
    task := 'registered_jobs';
    count := 0;
    severity := 'critical';
    description := 'The engine is installed, and no job is registered: nothing is maintained here';
    advice := 'select * from maintenance.register();';
    return next;
  end if;
  for v_status in
    select s.*, j.job_id, j.backlog_name, j.backlog_function
    from maintenance.job_status as s
    join maintenance_internal.job as j on j.job_name = s.job_name
    where j.kind = 'policy' or j.backlog_function is not null
    -- The engine's own come after the application's.
    order by exists (select from maintenance_internal.policy as p
      where p.job_id = j.job_id and p.target ~ '^maintenance(_internal)?\.'), j.job_id
  loop
    task := coalesce(v_status.backlog_name, v_status.job_name);
    count := null;
    oldest := null;
    description := v_status.description;
    job_name := v_status.job_name;
    schedule := v_status.schedule;
    active := v_status.active;
    last_run_at := v_status.last_run_at;
    last_status := v_status.last_status;
    next_run_at := v_status.next_run_at;
    v_late := interval '0';
    begin
      if v_status.kind = 'policy' then
        v_policy := maintenance_internal.find_policy(v_status.job_name);
        select c.due, c.oldest into backlog.count, backlog.oldest
        from maintenance_internal.count_due(
          v_policy, maintenance_internal.clock() - v_policy.keep, v_cap, v_path) as c;
        v_late := case when isfinite(oldest)
          then maintenance_internal.clock() - v_policy.keep - oldest end;
      else
        select c.due, c.oldest into backlog.count, backlog.oldest
        from maintenance_internal.call_backlog(v_status.backlog_function, v_cap, v_path) as c;
        v_late := case when isfinite(oldest) then maintenance_internal.clock() - oldest end;
      end if;
      if count >= v_cap then
        description := description || format('; at least %s', v_cap);
      end if;

      -- Rows fall due between two runs: late are those that two firings should have taken.
      select case when count = 0 then 'ok'
          when v_status.last_status in ('failed', 'cancelled', 'interrupted')
            or not v_status.active
            or v_status.next_run_at is null
            or v_late > 2 * (n.following - v_status.next_run_at) then 'warning'
          else 'notice' end
      into severity
      from (
        select maintenance_internal.nearest_slot(
          schedule, v_status.next_run_at, true, v_zone) as following
      ) as n;

      advice := case
        when count = 0 then null
        when v_status.running then 'A run is going on.'
        when v_status.last_status in ('cancelled', 'interrupted') then format(
          'The last run was %s. %scall maintenance.run_job(%L);', v_status.last_status,
          (select l.finding || ': ' || l.fix || ' Then: '
            from maintenance_internal.job as j, maintenance_internal.lint_session(j) as l
            where j.job_id = v_status.job_id limit 1), job_name)
        when v_status.last_status = 'failed' then format(
          'The last run failed: %s. Mend it, then: call maintenance.run_job(%L);',
          v_status.last_error, job_name)
        when not v_status.enabled
          then format('Disabled. select maintenance.enable_job(%L);', job_name)
        when v_status.active and v_status.next_run_at is null then format(
          'Its schedule: %s. select maintenance.set_schedule(%L, %L);',
          v_status.scheduling, job_name, coalesce(v_status.declared_schedule, '0 3 * * *'))
        when not v_status.active then format(
          'Not scheduled (%s). call maintenance.run_job(%L);',
          v_status.scheduling, job_name)
        when severity = 'warning' then format(
          'Behind its schedule. select * from maintenance.preview(%L);', job_name)
      end;
    exception when others or assert_failure then
      get stacked diagnostics v_state = returned_sqlstate, v_message = message_text,
        v_context = pg_exception_context;
      severity := 'critical';
      description := format('%s: cannot be counted: %s', v_status.description,
        maintenance_internal.error_text(v_state, v_message, v_context));
      advice := case when v_state = '55P03' and v_status.kind = 'policy' then format(
          'Locked by somebody else: select * from pg_locks where relation = %L::regclass;',
          v_policy.target)
        else format('select * from maintenance.lint(%L);', job_name) end;
    end;
    return next;
  end loop;
end
$$;
