-- Says that a call failed, and of which class. What follows from it stands in settle_task.

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
  v_cost numeric;
begin
  if fail_task.failure_class is null or fail_task.failure_class not in ('transient', 'defer',
    'configuration', 'rejected', 'blocked', 'bad_output', 'too_large') then
    raise exception 'the failure class "%" is not known', fail_task.failure_class
      using errcode = 'PM002', hint = 'transient, defer, configuration, rejected, blocked, '
        'bad_output or too_large.';
  end if;
  if fail_task.retry_after not between interval '0' and interval '30 days' then
    raise exception 'retry_after "%" is out of range', fail_task.retry_after
      using errcode = 'PM002', hint = 'An interval from zero to 30 days.';
  end if;
  v_cost := maintenance_internal.record_call(v_task.task_id, v_task.kind, v_task.model,
    fail_task.failure_class, fail_task.usage, fail_task.details);
  return maintenance_internal.task_state(maintenance_internal.settle_task(v_task,
    fail_task.failure_class, fail_task.message, fail_task.retry_after, p_cost => v_cost));
end
$$;

comment on function maintenance.fail_task(bigint, uuid, text, text, interval, jsonb, jsonb) is
  'Ends a lease with a failure and returns {state, available_at}. failure_class: transient and '
  'bad_output cost an attempt and wait for a back-off; defer costs none (ready after retry_after '
  'or an hour, dead after 50); configuration gives the task back for a minute; blocked skips it '
  'until its input changes; rejected and too_large end it. message: for people, no secret in it. '
  'usage: as in complete_task. details: kept with the call. '
  'Errors: PM002 argument, PM014 not leased under this token.';
