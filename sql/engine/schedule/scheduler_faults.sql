-- What keeps pg_cron from firing the jobs of this database at all, or some of them for ever. The
-- tick, which it fires every minute, shows whether it is at work.

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
begin
  select s.* into v_tick
  from unnest(p_jobs) as s
  join maintenance_internal.job as j on j.job_name = s.job_name
  where j.statement = maintenance_internal.tick_statement();
  -- What worked once and has stopped is worse than what was never set up.
  severity := case when v_tick.last_run_at is null and v_tick.late_since is null
    then 'warning' else 'critical' end;

  if v_tick.job_name is null then
    fault := 'No job calls the tick, which looks after all others';
    mend := 'select * from maintenance.register(''tick'');';
    return next;
  elsif v_tick.late_since is not null then
    select * into v_silence
    from maintenance_internal.cron_silence(v_tick.job_name, v_tick.late_since);
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
      v_tick.job_name) else 'select * from maintenance.register();' end;
    return next;
  elsif maintenance_internal.nearest_slot(v_tick.schedule, v_tick.next_run_at, true, v_state.zone)
    > v_tick.next_run_at + interval '5 minutes' then
    severity := 'warning';
    fault := format('The job %s, which looks after all others, is fired only at "%s"',
      v_tick.job_name, v_tick.schedule);
    mend := format('select maintenance.set_schedule(%L, ''* * * * *'');', v_tick.job_name);
    return next;
  elsif v_tick.last_status = 'failed' then
    fault := 'The tick fails: ' || v_tick.last_error;
    mend := format('select error_detail from maintenance.run_history where job_name = %L;',
      v_tick.job_name);
    return next;
  end if;

  -- Jobs that nobody has stopped, and that nobody will fire.
  for fault, mend, severity in
    select format('%s%s: %s', string_agg(s.job_name, ', ' order by s.n) filter (where s.n <= 3),
        case when count(*) > 3 then format(' and %s more', count(*) - 3) else '' end, s.scheduling),
      case
        when s.scheduling = 'not installed yet'
          then 'select * from maintenance.install_schedules();'
        when s.scheduling like 'in pg_cron for%' then format('As a superuser: update cron.job set '
          'username = %L where database = %L and jobname like ''maintenance:%%''; then, as %s: '
          'select * from maintenance.install_schedules();',
          v_state.username, current_database(), v_state.username)
        else string_agg(format('select maintenance.set_schedule(%L, %L);', s.job_name,
          coalesce(case when maintenance_internal.nearest_slot(s.declared_schedule,
            now(), true, 'UTC') is not null then s.declared_schedule end, '0 3 * * *')), ' '
          order by s.n) filter (where s.n <= 3)
      end,
      case when bool_or(s.job_name = v_tick.job_name) then severity else 'warning' end
    from (
      select j.*, row_number() over (partition by j.scheduling order by j.job_name) as n
      from unnest(p_jobs) as j
      where j.enabled and (j.scheduling = 'not installed yet'
        or j.scheduling like 'in pg_cron for the role%' or j.active and j.next_run_at is null)
    ) as s
    group by s.scheduling
    order by bool_or(s.job_name = v_tick.job_name) desc, s.scheduling
  loop
    return next;
  end loop;
end
$$;
