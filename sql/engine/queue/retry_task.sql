-- Revives a task that is over, with all its attempts.

create function maintenance.retry_task(task_id bigint)
returns jsonb
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
set lock_timeout = '5s'
as $$
declare
  v_task maintenance.task := maintenance_internal.lock_task(retry_task.task_id,
    '{dead,skipped,ready}', 'Dead and skipped tasks are revived, ready ones hurried.');
begin
  begin
    update maintenance.task as t
    set state = 'ready',
      attempts = 0,
      defers = 0,
      recoveries = 0,
      force = true,
      available_at = clock_timestamp(),
      finished_at = null
    where t.task_id = v_task.task_id
    returning * into v_task;
  exception when unique_violation then
    raise exception 'another task of the kind % about % is open', v_task.kind, v_task.subject
      using errcode = 'PM016', hint = 'It asks the same; wait for it.';
  end;
  return maintenance_internal.task_state(v_task);
end
$$;

comment on function maintenance.retry_task(bigint) is
  'Makes a dead or skipped task ready again at once, with all its attempts, and asks even where '
  'its input has not changed; a ready one is due at once. Returns {state, available_at}. '
  'Errors: PM014 no such task, PM016 it is leased or has succeeded, or another one is open.';
