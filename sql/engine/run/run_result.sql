-- What a run gives to its caller.

create function maintenance_internal.run_result(p_run_id bigint)
returns jsonb
language sql
stable
security definer
set search_path = pg_catalog, pg_temp
set row_security = off
set timezone = 'UTC'
set lock_timeout = '5s'
return (
  select jsonb_build_object(
    'success', r.status = 'succeeded',
    'message', case
      when r.stop_reason = 'already_running' then format('%s is already running', r.job_name)
      when r.stop_reason = 'disabled' then format('%s is disabled', r.job_name)
      when r.error is not null then format('%s %s: %s', r.job_name, r.status, r.error)
      else format('%s %s: %s row%s in %s batch%s', r.job_name, r.status,
        r.rows_affected, case when r.rows_affected <> 1 then 's' end,
        r.batches, case when r.batches <> 1 then 'es' end)
    end,
    'data', jsonb_build_object(
      'runId', r.run_id,
      'jobName', r.job_name,
      'status', r.status,
      'stopReason', r.stop_reason,
      'rowsAffected', r.rows_affected,
      'rowsRefused', r.rows_refused,
      'batches', r.batches,
      'sqlstate', r.sqlstate,
      'details', r.details),
    'executionTime', round(1000 * extract(epoch from r.finished_at - r.started_at)),
    'timestamp', to_char(r.finished_at, 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"'))
  from maintenance_internal.find_run(p_run_id) as r
);
