-- Drops an answer that was quarantined. The same input is not asked about again.

create function maintenance.reject_task(task_id bigint, reason text default null)
returns jsonb
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
set lock_timeout = '5s'
as $$
declare
  v_task maintenance.task := maintenance_internal.lock_task(reject_task.task_id,
    '{quarantined}', 'Only a quarantined answer waits for a decision.');
begin
  v_task := maintenance_internal.settle_task(v_task, 'declined',
    format('rejected by %s', session_user) || coalesce(': ' || reject_task.reason, ''),
    p_settled_token => v_task.settled_token, p_result => '{}');
  return v_task.result;
end
$$;

comment on function maintenance.reject_task(bigint, text) is
  'Drops a quarantined answer; nothing of it was or will be applied, and the same input is not '
  'asked about again (retry_task asks all the same). The reason is kept in last_error. Returns '
  '{state}. Errors: PM014 no such task, PM016 it is not quarantined.';
