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
begin
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
  delete from maintenance_internal.installed_schedule as i where i.job_id = p_job.job_id;
end
$$;
