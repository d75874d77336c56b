-- The scheduled door: one run of a job in committed batches, with a receipt.
-- It commits, so it can have neither a set clause nor security definer: every name is qualified.

create procedure maintenance.run_job(job_name text, inout result jsonb default null)
language plpgsql
as $$
declare
  v_run_id bigint;
begin
  commit; -- inside somebody's transaction this fails, before a lock is taken
  v_run_id := maintenance_internal.start_run(job_name, false);
  commit;
  call maintenance_internal.run_batches(v_run_id, true);
  result := maintenance_internal.run_result(v_run_id);
  if result #>> '{data,status}' = 'running' then
    perform maintenance_internal.finish_run(v_run_id);
    commit;
    result := maintenance_internal.run_result(v_run_id);
  end if;
  perform maintenance_internal.release_lock(v_run_id);
  perform maintenance_internal.mark_dead_entries(v_run_id);
  perform maintenance_internal.raise_failure(v_run_id);
end
$$;

comment on procedure maintenance.run_job(text, jsonb) is
  'Runs a job now, in batches that are committed one by one, under the job''s own lock; a second '
  'copy leaves a skipped receipt. Result: {success, message, data, executionTime (ms), timestamp}. '
  'A failed run commits its receipt and raises. Not inside a transaction: see run_now. '
  'Errors: PM001 no such job, PM008 the run failed, PM011 a statement job, 57014 cancelled, '
  '2D000 called inside a transaction.';
