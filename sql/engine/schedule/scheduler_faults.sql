-- What keeps the jobs of this database from being started at all, or some of them for ever. The
-- tick, which pg_cron fires every minute, shows whether it is at work. As notices: what somebody
-- has stopped; but an emergency stop, and a pause that is a day old and may have been forgotten,
-- as warnings.

create function maintenance_internal.scheduler_faults(p_jobs maintenance.job_status[])
returns table (severity text, fault text, mend text)
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $$
declare
  v_state record := maintenance_internal.cron_state();
  v_tick maintenance.job_status;
  v_silence record;
  v_fires constant boolean := exists (select from unnest(p_jobs) as s where s.active);
  v_own record;
  v_job maintenance.job_status;
  v_names text[] := '{}';
begin
  select case when c.stopped_at >= c.paused_at
      or c.paused_at < maintenance_internal.clock() - interval '1 day' then 'warning'
      else 'notice' end,
    'All jobs are ' || maintenance_internal.pause_text() || coalesce('. In spite of that still at '
      'work: ' || (select string_agg(s.job_name, ', ') from unnest(p_jobs) as s
        where s.running and c.stopped_at >= c.paused_at), ''),
    'select maintenance.resume();'
  into severity, fault, mend
  from maintenance_internal.control as c where c.paused_at is not null;
  if found then
    return next;
  end if;

  select s.* into v_tick
  from unnest(p_jobs) as s
  join maintenance_internal.job as j on j.job_name = s.job_name
  where j.statement = maintenance_internal.tick_statement()
  order by j.job_id
  limit 1;
  -- Where nothing was ever fired since pg_cron is not here, that may be meant.
  severity := case when v_state.gap is not null and v_tick.last_run_at is null
    then 'warning' else 'critical' end;

  if v_tick.job_name is null then
    fault := 'No job calls the tick, which looks after all others';
    mend := 'As the owner: select * from maintenance.register(''tick'');';
    return next;
  elsif v_tick.late_since is not null then
    select * into v_silence
    from maintenance_internal.cron_silence(v_tick.job_name, v_tick.late_since);
    severity := case when v_silence.cause ~ '^pg_cron 1\.4 runs one job' then 'warning'
      else severity end;
    fault := format('No tick since %s: %s', to_char(
      coalesce(v_tick.last_run_at, v_tick.late_since), 'YYYY-MM-DD HH24:MI'), v_silence.cause);
    mend := v_silence.mend;
    return next;
  elsif not v_tick.enabled then
    fault := format('The job %s, which looks after all others, is disabled', v_tick.job_name);
    mend := format('select maintenance.enable_job(%L);', v_tick.job_name);
    return next;
  elsif v_state.gap is not null and not v_tick.active then
    fault := 'Nothing is fired here: ' || v_state.gap;
    mend := v_state.mend;
    return next;
  elsif v_tick.scheduling in ('removed by an operator', 'inactive in pg_cron', 'no schedule') then
    fault := format('The job %s, which looks after all others, is not fired: %s', v_tick.job_name,
      v_tick.scheduling);
    mend := case when v_fires then format('select maintenance.set_schedule(%L, ''* * * * *'');',
      v_tick.job_name) else 'Nor is any other. The owner puts all of them back: '
      'select * from maintenance.register();' end;
    return next;
  elsif maintenance_internal.nearest_slot(v_tick.schedule, v_tick.next_run_at, true, v_state.zone)
    > v_tick.next_run_at + interval '1 minute' then
    severity := 'warning';
    fault := format('The job %s, which looks after all others, is fired only at "%s"',
      v_tick.job_name, v_tick.schedule);
    mend := format('select maintenance.set_schedule(%L, ''* * * * *'');', v_tick.job_name);
    return next;
  elsif v_tick.last_status = 'failed' then
    fault := 'The tick fails: ' || v_tick.last_error;
    mend := format('As the owner: select error_detail from maintenance.run_history where job_name '
      '= %L;', v_tick.job_name);
    return next;
  elsif v_tick.active and v_tick.last_run_at > maintenance_internal.clock() - interval '2 minutes'
    and exists (
      select from maintenance_internal.job as j
      where j.job_name = v_tick.job_name
        and j.promised_at < maintenance_internal.clock() - interval '3 minutes')
    and pg_postmaster_start_time() < maintenance_internal.clock() - interval '3 minutes'
    and not maintenance_internal.cron_keeps_history()
  then
    severity := 'warning';
    fault := 'pg_cron keeps no history, from which alone its statements get their receipts';
    mend := 'In postgresql.conf: cron.log_run = on, then restart the server.';
    return next;
  end if;

  severity := 'warning';
  for v_own in
    select o.* from (values
      (maintenance_internal.run_late_statement(), 'run_late', 'starts what is owed'),
      (maintenance_internal.alert_statement(), 'alert_monitor', 'opens and closes alerts')
    ) as o (statement, name, does)
  loop
    select s.* into v_job
    from unnest(p_jobs) as s
    join maintenance_internal.job as j on j.job_name = s.job_name
    where j.statement = v_own.statement
    order by j.job_id
    limit 1;
    if v_job.job_name is null then
      fault := format('No job calls %s, which %s', v_own.name, v_own.does);
      mend := format('As the owner: select * from maintenance.register(%L);', v_own.name);
      return next;
    elsif v_tick.active and not v_job.active then
      fault := format('The job %s, which %s, is not fired: %s', v_job.job_name, v_own.does,
        case when v_job.enabled then v_job.scheduling else 'disabled' end);
      mend := case when v_job.enabled then format('select maintenance.set_schedule(%L, '
        '''* * * * *'');', v_job.job_name)
        else format('select maintenance.enable_job(%L);', v_job.job_name) end;
      return next;
    elsif v_job.last_status = 'failed' then
      fault := format('%s, which %s, fails: %s', v_job.job_name, v_own.does, v_job.last_error);
      mend := format('select return_message from cron.job_run_details where command = %L order by '
        'runid desc limit 5;', v_own.statement);
      return next;
    end if;
    v_names := v_names || v_job.job_name;
  end loop;

  -- Jobs that nobody has stopped, and that nobody will fire; then those that somebody has.
  for fault, mend, severity in
    select format('%s%s: %s', string_agg(s.job_name, ', ' order by s.n) filter (where s.n <= 3),
        case when count(*) > 3 then format(' and %s more', count(*) - 3) else '' end, s.why),
      case
        when s.why = 'not installed yet' then 'select * from maintenance.install_schedules();'
        when s.why like 'in pg_cron for%' then format('As a superuser: update cron.job set '
          'username = %L where database = %L and jobname like ''maintenance:%%''; then, as %s: '
          'select * from maintenance.install_schedules();',
          v_state.username, current_database(), v_state.username)
        else string_agg(case s.why
            when 'disabled' then format('select maintenance.enable_job(%L);', s.job_name)
            else maintenance_internal.schedule_advice(s.job_name, s.declared_schedule) end, ' '
          order by s.n) filter (where s.n <= 3)
      end,
      case
        when s.why in ('disabled', 'removed by an operator', 'inactive in pg_cron') then 'notice'
        when bool_or(s.job_name = v_tick.job_name) then 'critical'
        else 'warning' end
    from (
      select j.*, row_number() over (partition by j.why order by j.job_name) as n
      from (
        select p.*, case when p.enabled then p.scheduling else 'disabled' end as why
        from unnest(p_jobs) as p
      ) as j
      where j.why in ('not installed yet', 'disabled')
        or j.why in ('removed by an operator', 'inactive in pg_cron')
          and j.declared_schedule is not null
        or j.why like 'in pg_cron for the role%' or j.active and j.next_run_at is null
    ) as s
    where s.job_name is distinct from v_tick.job_name
        and (s.job_name <> all (v_names) or not v_tick.active)
      or s.why not in ('disabled', 'removed by an operator', 'inactive in pg_cron')
    group by s.why
    order by bool_or(s.job_name = v_tick.job_name) desc, s.why
  loop
    return next;
  end loop;

  severity := 'warning';
  for fault, mend in
    select format('pg_cron fires "maintenance:%s", which is no job here', c.job_name),
      format('As the owner: select cron.unschedule(%L);', 'maintenance:' || c.job_name)
    from maintenance_internal.cron_jobs() as c
    where c.active and not exists (
      select from maintenance_internal.job as j where j.job_name = c.job_name)
    order by c.job_name
  loop
    return next;
  end loop;
end
$$;
