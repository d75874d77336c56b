-- Says that a call failed, and of which class. Whose fault that is, settle_call tells by what
-- happened to others; what follows for the task stands in settle_task.

create function maintenance.fail_task(
  task_id bigint,
  lease_token uuid,
  failure_class text,
  message text default null,
  retry_after interval default null,
  usage jsonb default null,
  details jsonb default null)
returns jsonb
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
set lock_timeout = '5s'
as $$
declare
  v_task maintenance.task :=
    maintenance_internal.lock_leased(fail_task.task_id, fail_task.lease_token);
  v_is_cut constant boolean := fail_task.failure_class = 'bad_output'
    and coalesce(fail_task.usage ->> 'finishReason' = 'MAX_TOKENS', false);
  v_call record;
  v_is_free boolean := false;
begin
  if fail_task.failure_class is null or fail_task.failure_class not in ('transient', 'defer',
    'gone', 'configuration', 'rejected', 'blocked', 'bad_output', 'too_large') then
    raise exception 'the failure class "%" is not known', fail_task.failure_class
      using errcode = 'PM002', hint = 'transient, defer, gone, configuration, rejected, blocked, '
        'bad_output or too_large.';
  end if;
  if fail_task.retry_after not between interval '0' and interval '30 days' then
    raise exception 'retry_after "%" is out of range', fail_task.retry_after
      using errcode = 'PM002', hint = 'An interval from zero to 30 days.';
  end if;
  select * into v_call from maintenance_internal.settle_call(v_task.lease_token,
    fail_task.failure_class, fail_task.usage, fail_task.details, fail_task.message,
    fail_task.retry_after);
  if v_is_cut and not v_task.more_room then
    v_task.more_room := true;
    v_is_free := true; -- it is the limit that was too low
    if v_task.asked_tokens >= maintenance_internal.most_tokens() then
      v_task.halvings := v_task.halvings + 1;
    end if;
  elsif v_is_cut or fail_task.failure_class = 'too_large' then
    v_task.halvings := v_task.halvings + 1;
  end if;
  return maintenance_internal.task_state(maintenance_internal.settle_task(v_task,
    fail_task.failure_class, fail_task.message, fail_task.retry_after,
    p_is_own_fault => v_call.is_own_fault and not v_is_free,
    p_is_in_vain => v_is_cut or fail_task.failure_class = 'too_large', p_cost => v_call.cost));
end
$$;

comment on function maintenance.fail_task(bigint, uuid, text, text, interval, jsonb, jsonb) is
  'Ends a lease with a failure and returns {state, available_at}. failure_class: transient (500, '
  'a time-out) costs an attempt and waits for a back-off where the model answers others, else '
  'nothing; bad_output costs an attempt; defer (429, 503, no network) and gone (404) cost nothing, '
  'and the model cools down, for retry_after at least; configuration gives the task back for a '
  'minute; blocked skips it until its input changes; rejected (400) ends it where others of its '
  'kind were answered, else this model is not asked for its kind for a while; too_large costs an '
  'attempt, and half of it is shown; where that cannot be, it is as rejected. '
  'message: for people, no secret in it. usage: as in complete_task; with finishReason MAX_TOKENS '
  'the next request has more room, then less to say. details: of the error, kept with the call. '
  'Errors: PM002 argument, PM014 not leased under this token.';
