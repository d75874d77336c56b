-- Closes a run's receipt, and says what its caller gets. What was noted on it decides how it
-- ended.

create function maintenance_internal.end_run(p_run_id bigint)
returns jsonb
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
set lock_timeout = '5s'
as $$
declare
  v_run maintenance_internal.run;
begin
  update maintenance_internal.run as r
  set status = case
      when r.stop_reason = 'timeout' then 'timeout'
      when r.stop_reason in ('cancelled', 'emergency_stop') then 'cancelled'
      when r.error is not null then 'failed'
      else 'succeeded'
    end,
    stop_reason = coalesce(r.stop_reason, 'done'),
    finished_at = maintenance_internal.moment(),
    progress = null
  where r.run_id = p_run_id and r.backend_pid = pg_backend_pid() and r.status = 'running';
  if found then
    delete from maintenance_internal.piece as p where p.run_id = p_run_id;
    perform maintenance_internal.settle_run(p_run_id);
  end if;

  select * into v_run from maintenance_internal.run as r
  where r.run_id = p_run_id
    -- One that has waited may have been begun by another session since.
    and (r.backend_pid = pg_backend_pid() or r.due_at is not null);
  if not found then
    raise exception 'run % was not begun by this session', p_run_id
      using errcode = 'PM002', hint = 'call maintenance.run_job(...) begins runs.';
  end if;
  return jsonb_build_object(
    'success', v_run.status = 'succeeded',
    'message', case
      when v_run.status = 'waiting' then format('%s waits %s, from %s on', v_run.job_name,
        case v_run.stop_reason when 'window' then 'for its window' else 'for other jobs' end,
        to_char(v_run.due_at, 'YYYY-MM-DD HH24:MI'))
      when v_run.stop_reason = 'already_running'
        then format('%s is already running', v_run.job_name)
      when v_run.stop_reason = 'slot_done' then format('%s has had its run of %s', v_run.job_name,
        to_char(v_run.slot, 'YYYY-MM-DD HH24:MI'))
      when v_run.stop_reason = 'disabled' then format('%s is disabled', v_run.job_name)
      when v_run.stop_reason = 'paused' then format('%s is not started: all jobs are %s',
        v_run.job_name, maintenance_internal.pause_text())
      when v_run.error is not null
        then format('%s %s: %s', v_run.job_name, v_run.status, v_run.error)
      else format('%s %s: %s row%s in %s batch%s', v_run.job_name, v_run.status,
        v_run.rows_affected, case when v_run.rows_affected <> 1 then 's' end,
        v_run.batches, case when v_run.batches <> 1 then 'es' end)
    end,
    'data', jsonb_build_object(
      'runId', v_run.run_id,
      'jobName', v_run.job_name,
      'status', v_run.status,
      'stopReason', v_run.stop_reason,
      'rowsAffected', v_run.rows_affected,
      'rowsRefused', v_run.rows_refused,
      'batches', v_run.batches,
      'sqlstate', v_run.sqlstate,
      'details', v_run.details),
    'executionTime', round(1000 * extract(epoch from v_run.finished_at - v_run.started_at)),
    'timestamp', to_char(coalesce(v_run.finished_at, maintenance_internal.moment()),
      'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"'));
end
$$;
