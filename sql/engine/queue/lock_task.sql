-- A task, locked against everybody else who decides what becomes of it; or a clear error. It is
-- the first lock that any of them takes.

create function maintenance_internal.lock_task(
  p_task_id bigint,
  p_states text[] default null,
  p_hint text default null)
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
      using errcode = 'PM014', hint = case when p_states is null then p_hint
        else 'select task_id, state, last_error from maintenance.task;' end;
  end if;
  -- A worker is told in its own way.
  if p_states is not null and v_task.subject = maintenance_internal.erased() then
    raise exception 'task % is about a subject that was erased', v_task.task_id
      using errcode = 'PM016', hint = 'Nothing is known of it any more.';
  elsif p_states is not null and maintenance_internal.is_to_be_erased(v_task) then
    raise exception 'task % is about a subject that was deleted', v_task.task_id
      using errcode = 'PM016', hint = 'The tick forgets what is known of it.';
  end if;
  if v_task.state <> all (p_states) then
    raise exception 'task % is %', v_task.task_id, v_task.state
      using errcode = 'PM016', hint = p_hint;
  end if;
  return v_task;
end
$$;

-- A task that is leased under a token. The token decides, never the clock; p_replay lets one pass
-- that complete_task has settled already.

create function maintenance_internal.lock_leased(
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
  v_task := maintenance_internal.lock_task(p_task_id,
    p_hint => 'claim_tasks gives task_id and lease_token.');
  if v_task.lease_token is distinct from p_lease_token
    and not (p_replay and v_task.settled_token is not distinct from p_lease_token) then
    raise exception 'task % is not leased under this token (any more)', p_task_id
      using errcode = 'PM014', detail = format('its state is %s', v_task.state),
        hint = 'Drop the work: the lease ended, and somebody else has the task or had it.';
  end if;
  return v_task;
end
$$;
