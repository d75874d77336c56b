-- Puts into pg_cron what it is to run for a statement job, where it has the job and the other
-- command: after it was enabled or disabled, at a pause and after it. Its schedule stays as it
-- is.

create function maintenance_internal.repair_command(p_job maintenance_internal.job)
returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
  v_state record := maintenance_internal.cron_state();
begin
  if v_state.gap is not null then
    perform maintenance_internal.tell_elsewhere(p_job, p_job.schedule, format(
      'select cron.alter_job(jobid, command => %L) from cron.job where database = %L and jobname '
      'in (%L, %L);', maintenance_internal.cron_command(p_job), current_database(),
      maintenance_internal.cron_name(p_job.job_name), 'maintenance:' || p_job.job_name));
  elsif (case when v_state.readable
    then exists (
      select from maintenance_internal.cron_jobs() as c
      where c.job_name = p_job.job_name
        and c.command <> maintenance_internal.cron_command(p_job))
    else exists (
      select from maintenance_internal.installed_schedule as i
      where i.job_id = p_job.job_id
        and i.command <> maintenance_internal.cron_command(p_job)) end)
  then
    perform maintenance_internal.sync_schedule(p_job.job_name);
  end if;
end
$$;

-- The same of all of them whose command there is one of the two that it can be, after a pause
-- began or ended. Whatever is in the way of one is told, and left to the next tick.
create function maintenance_internal.repair_commands()
returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
  v_state constant record := maintenance_internal.cron_state();
  v_until constant timestamptz := clock_timestamp() + interval '500 milliseconds';
  v_job maintenance_internal.job;
  v_context text;
begin
  if v_state.gap is not null then
    return;
  end if;
  for v_job in
    select j.*
    from maintenance_internal.job as j
    left join maintenance_internal.cron_jobs() as c on c.job_name = j.job_name
    left join maintenance_internal.installed_schedule as i on i.job_id = j.job_id
    cross join lateral (
      select case when v_state.readable then c.command else i.command end as command) as n
    where j.kind = 'statement' and n.command <> maintenance_internal.cron_command(j)
      and n.command in (j.statement, format('call maintenance.run_job(%L)', j.job_name))
    order by j.job_id
  loop
    exit when clock_timestamp() > v_until; -- an emergency stop waits for it
    begin
      perform set_config('lock_timeout', '200ms', true);
      perform maintenance_internal.repair_command(v_job);
    exception when others then
      get stacked diagnostics v_context = pg_exception_context;
      raise warning 'the command of "%" in pg_cron is not changed yet: %', v_job.job_name,
          maintenance_internal.error_text(sqlstate, sqlerrm, v_context)
        using hint = 'The tick tries it again each minute.';
    end;
  end loop;
end
$$;
