-- A task that waits for a decision, locked; or a clear error.

create function maintenance_internal.find_quarantined(p_task_id bigint)
returns maintenance.task
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
  v_task maintenance.task;
begin
  select * into v_task from maintenance.task as t where t.task_id = p_task_id for update;
  if not found then
    raise exception 'there is no task %', p_task_id
      using errcode = 'PM014', hint = 'select task_id, last_error from maintenance.task '
        'where state = ''quarantined'';';
  end if;
  if v_task.state <> 'quarantined' then
    raise exception 'task % is %', v_task.task_id, v_task.state
      using errcode = 'PM016', hint = 'Only a quarantined answer waits for a decision.';
  end if;
  return v_task;
end
$$;

comment on function maintenance_internal.find_quarantined(bigint) is
  'A task that waits for a decision, locked; or a clear error.';
