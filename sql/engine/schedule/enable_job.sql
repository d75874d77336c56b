-- Our own flag: whether a job runs, whoever starts it.

create function maintenance_internal.set_enabled(p_job_name text, p_enabled boolean)
returns maintenance.job_status
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
  v_job maintenance_internal.job := maintenance_internal.find_job(p_job_name);
  v_status maintenance.job_status;
begin
  update maintenance_internal.job as j
  set enabled = p_enabled, updated_at = now(),
    promised_at = case when j.enabled <> p_enabled then maintenance_internal.clock()
      else j.promised_at end
  where j.job_id = v_job.job_id
  returning * into v_job;
  if v_job.kind = 'statement' then
    perform maintenance_internal.repair_command(v_job);
  end if;
  select * into v_status from maintenance.job_status as s where s.job_name = p_job_name;
  return v_status;
end
$$;

create function maintenance.enable_job(job_name text)
returns maintenance.job_status
language sql
security definer
set search_path = pg_catalog, pg_temp
set lock_timeout = '5s'
return maintenance_internal.set_enabled(job_name, true);

comment on function maintenance.enable_job(text) is
  'Lets a job run again and returns its job_status row. Errors: PM001 no such job.';

create function maintenance.disable_job(job_name text)
returns maintenance.job_status
language sql
security definer
set search_path = pg_catalog, pg_temp
set lock_timeout = '5s'
return maintenance_internal.set_enabled(job_name, false);

comment on function maintenance.disable_job(text) is
  'Keeps a job from running: pg_cron goes on firing it, and each firing leaves a skipped receipt. '
  'Returns its job_status row. Errors: PM001 no such job.';
