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
  v_others text[];
begin
  perform from maintenance_internal.job as j where j.job_id = v_job.job_id for update;
  v_others := array(
    select j.job_name from maintenance_internal.job as j
    where drop_job.job_name = any (j.depends_on) order by j.job_name);
  if cardinality(v_others) > 0 then
    raise exception 'other jobs wait for "%": %', v_job.job_name, array_to_string(v_others, ', ')
      using errcode = 'PM002', hint = (
        select string_agg(format('select maintenance.configure_job(%L, depends_on => %L);',
          j.job_name, array_remove(j.depends_on, drop_job.job_name)), ' ' order by j.job_name)
        from maintenance_internal.job as j where j.job_name = any (v_others));
  end if;
  perform maintenance_internal.remove_schedule(v_job);
  delete from maintenance_internal.job as j where j.job_id = v_job.job_id;
end
$$;

comment on function maintenance.drop_job(text) is
  'Removes a job of any kind and its schedule in pg_cron; its receipts stay in run_history. '
  'For the engine''s owner. Errors: PM001 no such job, PM002 other jobs depend on it.';
