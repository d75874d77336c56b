-- Applies an answer that was quarantined, under the same checks as at first: what has changed
-- since is refused, operation by operation.

create function maintenance.approve_task(task_id bigint)
returns jsonb
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
set lock_timeout = '5s'
as $$
declare
  v_task maintenance.task := maintenance_internal.lock_task(approve_task.task_id,
    '{quarantined}', 'Only a quarantined answer waits for a decision.');
  v_applied record;
begin
  perform maintenance_internal.check_session();
  -- As at first, and by the schema of today.
  select 'bad_output' as outcome, 'it is not as its schema says: ' || f.fault as error
  into v_applied
  from maintenance.kind as k
  cross join maintenance_internal.answer_fault(v_task.held_answer, k.response_schema) as f (fault)
  where k.kind = v_task.kind and f.fault is not null;
  if not found then
    select * into v_applied from maintenance_internal.apply_answer(v_task, p_approved => true);
  end if;
  if v_applied.outcome not in ('succeeded', 'continued') then
    raise exception 'the answer of task % cannot be applied: %', v_task.task_id, v_applied.error
      using errcode = 'PM016', hint = 'select maintenance.reject_task(task_id);';
  end if;
  v_task.input_hash := v_applied.input_hash;
  v_task.carry := coalesce(v_applied.carry, v_task.carry);
  v_task := maintenance_internal.settle_task(v_task, v_applied.outcome,
    p_settled_token => v_task.settled_token,
    p_result => jsonb_build_object('result', v_applied.result, 'approvedBy', session_user));
  return v_task.result;
end
$$;

comment on function maintenance.approve_task(bigint) is
  'Applies a quarantined answer, with every check but that of its size; what was edited since is '
  'refused. Returns {state, result, approvedBy}. Errors: PM014 no such task, PM016 it is not '
  'quarantined, or its answer cannot be applied (nothing is changed then).';
