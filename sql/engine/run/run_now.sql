-- The same run in the caller's one transaction, for functions and tests.

create function maintenance.run_now(job_name text)
returns jsonb
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
  v_run_id bigint := maintenance_internal.start_run(run_now.job_name, true);
begin
  call maintenance_internal.run_batches(v_run_id, false);
  if maintenance_internal.run_result(v_run_id) #>> '{data,status}' = 'running' then
    perform maintenance_internal.finish_run(v_run_id);
  end if;
  return maintenance_internal.run_result(v_run_id);
end
$$;

comment on function maintenance.run_now(text) is
  'Runs a job in the caller''s transaction: for modest backlogs, functions and tests. The same '
  'result as run_job; a job that fails says success false and does not raise. '
  'Errors: PM001 no such job, PM011 a statement job.';
