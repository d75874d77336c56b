-- Takes a model's answer: parses it, lets the kind apply it, records the cost and closes the task,
-- in one transaction. Whatever the answer says, this returns; it raises for a stale token only.

create function maintenance.complete_task(
  task_id bigint,
  lease_token uuid,
  answer text,
  usage jsonb default null)
returns jsonb
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
set row_security = off
set timezone = 'UTC'
set lock_timeout = '5s'
as $$
declare
  v_task maintenance.task := maintenance.find_leased(
    complete_task.task_id, complete_task.lease_token, p_replay => true);
  v_kind maintenance.kind := maintenance.find_kind(v_task.kind);
  v_answer jsonb;
  v_error text;
  v_result jsonb;
  v_outcome text := 'succeeded';
  v_cost numeric;
begin
  if v_task.settled_token is not distinct from complete_task.lease_token then
    return v_task.result;
  end if;

  select p.answer, p.reason into v_answer, v_error
  from maintenance.parse_answer(complete_task.answer) as p;
  if v_error is null and v_task.context is null then
    v_error := 'the task was never asked: task_request comes first';
  end if;
  if v_error is null then
    begin
      execute format('select %s($1::text, $2::jsonb, $3::jsonb, $4::jsonb)',
        maintenance.find_function(v_kind.apply, 'text, jsonb, jsonb, jsonb', 'jsonb')::regproc)
      into v_result using v_task.subject, v_task.context, v_answer, v_task.options;
    exception when others then
      v_error := maintenance.error_text('apply', sqlstate, sqlerrm);
    end;
  end if;
  if v_error is not null then
    v_outcome := 'bad_output';
  end if;

  v_cost := maintenance.record_call(v_task.task_id, v_task.kind, v_task.model, v_outcome,
    complete_task.usage, null);
  v_task := maintenance.settle_task(v_task, v_outcome, v_error, p_cost => v_cost,
    p_settled_token => complete_task.lease_token,
    p_result => jsonb_build_object('result', v_result, 'error', v_error));
  return v_task.result;
end
$$;

comment on function maintenance.complete_task(bigint, uuid, text, jsonb) is
  'Takes the answer of a leased task and applies it. Returns {state, result, error, '
  'available_at}, result being what apply returned: a bad answer is a normal return and costs an '
  'attempt. A replay of the same token returns the stored result. usage: Gemini''s usageMetadata '
  'with model and durationMs. Errors: PM014 not leased under this token.';
