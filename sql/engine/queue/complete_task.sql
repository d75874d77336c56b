-- Takes a model's answer: parses it, compares it with the kind's schema, lets the kind apply it,
-- records the cost and closes the task, in one transaction. Whatever the answer says, this
-- returns; it raises for a stale token and in an emergency stop only.

create function maintenance.complete_task(
  task_id bigint,
  lease_token uuid,
  answer text,
  usage jsonb default null)
returns jsonb
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
set lock_timeout = '5s'
as $$
declare
  v_task maintenance.task := maintenance_internal.lock_leased(
    complete_task.task_id, complete_task.lease_token, p_replay => true);
  v_applied record;
  v_cost numeric;
begin
  perform maintenance_internal.check_session();
  if v_task.settled_token is not distinct from complete_task.lease_token then
    return v_task.result;
  end if;
  if maintenance_internal.is_stopped() then
    raise exception 'no answer is taken: all is %', maintenance_internal.pause_text()
      using errcode = 'PM026', hint = 'Send it again after: select maintenance.resume();';
  end if;

  if complete_task.usage ->> 'finishReason' = 'MAX_TOKENS' then
    perform maintenance.fail_task(complete_task.task_id, complete_task.lease_token, 'bad_output',
      'the answer was cut', usage => complete_task.usage);
    select * into v_task from maintenance.task as t where t.task_id = complete_task.task_id;
    return jsonb_strip_nulls(maintenance_internal.task_state(v_task)
      || jsonb_build_object('error', v_task.last_error));
  end if;
  if maintenance_internal.is_to_be_erased(v_task) then
    v_cost := (select c.cost from maintenance_internal.settle_call(
      v_task.lease_token, 'stale', complete_task.usage) as c);
    v_task.carry := null;
    v_task := maintenance_internal.settle_task(v_task, 'skipped', 'its subject is to be erased',
      p_cost => v_cost, p_settled_token => complete_task.lease_token,
      p_result => '{"error": "its subject is to be erased"}');
    return v_task.result;
  end if;
  if v_task.context is null then
    -- Nobody has asked; or a crash has taken what task_request wrote, which waits for no disk.
    v_task := maintenance_internal.settle_task(v_task, 'released',
      p_settled_token => complete_task.lease_token,
      p_result => '{"error": "the task was never asked: task_request comes first"}');
    return v_task.result;
  end if;

  select 'bad_output' as outcome, p.reason as error, null::jsonb as result, p.answer into v_applied
  from maintenance_internal.parse_answer(complete_task.answer) as p;
  if v_applied.error is null then
    v_applied.error := (
      select 'the answer is not as its schema says: ' || f.fault
      from maintenance.kind as k
      cross join maintenance_internal.answer_fault(v_applied.answer, k.response_schema) as f (fault)
      where k.kind = v_task.kind);
  end if;
  if v_applied.error is null then
    v_task.held_answer := v_applied.answer;
    select * into v_applied from maintenance_internal.apply_answer(v_task, p_approved => false);
    v_task.input_hash := v_applied.input_hash;
    v_task.carry := coalesce(v_applied.carry, v_task.carry);
    if v_applied.outcome = 'quarantined' then
      v_task.foreseen := maintenance_internal.foresee_answer(v_task);
    end if;
  end if;

  v_cost := (select c.cost from maintenance_internal.settle_call(v_task.lease_token,
    case v_applied.outcome when 'continued' then 'succeeded' else v_applied.outcome end,
    complete_task.usage) as c);
  v_task := maintenance_internal.settle_task(v_task, v_applied.outcome, v_applied.error,
    p_cost => v_cost, p_settled_token => complete_task.lease_token,
    p_result => jsonb_build_object('result', v_applied.result, 'error', v_applied.error));
  return v_task.result;
end
$$;

comment on function maintenance.complete_task(bigint, uuid, text, jsonb) is
  'Takes the answer of a leased task and applies it. Returns {state, result, error, '
  'available_at}, result being what apply returned: a bad answer is a normal return and costs an '
  'attempt, and one that goes too far waits in quarantine. Where apply asks to continue, the '
  'state is ready; one about a subject that was deleted meanwhile is thrown away, and the state is '
  'skipped. A replay of the same token returns the stored result. usage: Gemini''s '
  'usageMetadata, with modelVersion and durationMs. Errors: PM014 not leased under this token, '
  'PM026 an emergency stop: the answer is not lost, and is to be sent again after it.';
