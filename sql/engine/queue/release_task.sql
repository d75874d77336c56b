-- Gives a task back as if it had never been claimed: a worker that shuts down.

create function maintenance.release_task(task_id bigint, lease_token uuid)
returns jsonb
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
set lock_timeout = '5s'
as $$
declare
  v_task maintenance.task :=
    maintenance_internal.lock_leased(release_task.task_id, release_task.lease_token);
  v_cost constant numeric := (
    select c.cost from maintenance_internal.settle_call(v_task.lease_token, 'released') as c);
begin
  return maintenance_internal.task_state(
    maintenance_internal.settle_task(v_task, 'released', p_cost => v_cost));
end
$$;

comment on function maintenance.release_task(bigint, uuid) is
  'Gives a leased task back, ready at once and with its attempt; returns {state, available_at}. '
  'Errors: PM014 not leased under this token.';
