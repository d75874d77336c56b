-- A task that is leased under a token, locked; or a clear error. The token decides, never the
-- clock. p_replay lets a token pass that complete_task has settled already.

create function maintenance_internal.find_leased(
  p_task_id bigint,
  p_lease_token uuid,
  p_replay boolean default false)
returns maintenance.task
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
  v_task maintenance.task;
begin
  if p_lease_token is null then
    raise exception 'task % needs its lease token', p_task_id
      using errcode = 'PM014', hint = 'claim_tasks gave it.';
  end if;
  select * into v_task from maintenance.task as t where t.task_id = p_task_id for update;
  if not found then
    raise exception 'there is no task %', p_task_id
      using errcode = 'PM014', hint = 'claim_tasks gives task_id and lease_token.';
  end if;
  if v_task.lease_token is distinct from p_lease_token
    and not (p_replay and v_task.settled_token is not distinct from p_lease_token) then
    raise exception 'task % is not leased under this token (any more)', p_task_id
      using errcode = 'PM014', detail = format('its state is %s', v_task.state),
        hint = 'Drop the work: the lease ended, and somebody else has the task or had it.';
  end if;
  return v_task;
end
$$;

comment on function maintenance_internal.find_leased(bigint, uuid, boolean) is
  'A task that is leased under a token, locked; or a clear error.';
