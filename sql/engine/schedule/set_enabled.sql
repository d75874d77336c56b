-- The flag behind enable_job and disable_job.

create function maintenance.set_enabled(p_job_name text, p_enabled boolean)
returns maintenance.job_status
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
  v_job maintenance.job := maintenance.find_job(p_job_name);
  v_status maintenance.job_status;
begin
  update maintenance.job as j
  set enabled = p_enabled, updated_at = now()
  where j.job_id = v_job.job_id;
  if v_job.kind = 'statement' then
    perform maintenance.sync_schedule(p_job_name); -- its command changes
  end if;
  select * into v_status from maintenance.job_status as s where s.job_name = p_job_name;
  return v_status;
end
$$;

comment on function maintenance.set_enabled(text, boolean) is
  'The flag behind enable_job and disable_job.';
