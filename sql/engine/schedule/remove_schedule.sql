-- Takes a job out of pg_cron, and forgets that it was there.

create function maintenance_internal.remove_schedule(p_job maintenance_internal.job)
returns void
language plpgsql
set search_path = pg_catalog, pg_temp
set row_security = on
as $$
declare
  v_state record := maintenance_internal.cron_state();
  v_cron_job_id bigint;
  v_role name;
begin
  if p_job.kind = 'statement' then
    perform maintenance_internal.record_statements(); -- which go by what stands in pg_cron
  end if;
  for v_cron_job_id in
    select c.cron_job_id
    from maintenance_internal.cron_jobs() as c
    where c.job_name = p_job.job_name
  loop
    execute 'select cron.unschedule($1)' using v_cron_job_id;
  end loop;
  if v_state.gap is null and not v_state.readable then
    begin
      execute format('select cron.unschedule(%L)', 'maintenance:' || p_job.job_name);
    exception when internal_error then
      null; -- pg_cron's word for a job that is not there: an operator removed it
    end;
  end if;
  if p_job.schedule is not null then
    perform maintenance_internal.tell_elsewhere(p_job, null);
  end if;
  delete from maintenance_internal.installed_schedule as i
  where i.job_id = p_job.job_id
  returning i.username into v_role;
  if v_state.readable and v_role <> v_state.username then
    raise warning '"%" may still be in pg_cron for the role %', p_job.job_name, v_role
      using hint = format('As a superuser: select cron.unschedule(jobid) from cron.job where '
        'jobname = %L and username = %L;', 'maintenance:' || p_job.job_name, v_role);
  end if;
end
$$;

-- Takes all of our jobs out of pg_cron; where pg_cron lives in another database, says what is to be
-- run there, by a superuser, for those that may be scheduled there.
create function maintenance_internal.remove_schedules()
returns table (what text, outcome text)
language plpgsql
set search_path = pg_catalog, pg_temp
set row_security = on
as $$
declare
  v_state record := maintenance_internal.cron_state();
  v_cron record;
  v_job maintenance_internal.job;
begin
  for v_cron in
    select c.job_name, c.cron_job_id
    from maintenance_internal.cron_jobs() as c
    join maintenance_internal.job as j on j.job_name = c.job_name
    order by c.job_name
  loop
    execute 'select cron.unschedule($1)' using v_cron.cron_job_id;
    what := 'job ' || v_cron.job_name;
    outcome := 'unscheduled';
    return next;
  end loop;

  for v_job in
    select * from maintenance_internal.job as j where j.schedule is not null order by j.job_name
  loop
    what := 'job ' || v_job.job_name;
    if v_state.gap is null and not v_state.readable then
      perform maintenance_internal.remove_schedule(v_job);
      outcome := 'unscheduled';
      return next;
    elsif v_state.gap like 'pg_cron lives in%' or v_state.gap is not null and exists (
        select from maintenance_internal.run as r where r.trigger = 'schedule') then
      outcome := format('%s; where it lives, if it was scheduled there: %s', v_state.gap,
        maintenance_internal.cron_statement(v_job, null));
      return next;
    end if;
  end loop;
end
$$;
