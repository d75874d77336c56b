-- Removes a job and its schedule; its receipts stay.

create function maintenance.drop_job(job_name text)
returns void
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
set lock_timeout = '5s'
as $$
declare
  v_job maintenance_internal.job := maintenance_internal.find_job(drop_job.job_name);
begin
  perform from maintenance_internal.job as j where j.job_id = v_job.job_id for update;
  perform maintenance_internal.remove_schedule(v_job);
  delete from maintenance_internal.job as j where j.job_id = v_job.job_id;
end
$$;

comment on function maintenance.drop_job(text) is
  'Removes a job of any kind and its schedule in pg_cron; its receipts stay in run_history. '
  'For the engine''s owner. Errors: PM001 no such job.';
