-- What the functions that end a lease return: {state, available_at}.

create function maintenance_internal.task_state(p_task maintenance.task)
returns jsonb
language sql
stable
set search_path = pg_catalog, pg_temp
return jsonb_build_object(
  'state', p_task.state,
  'available_at', case when p_task.state = 'ready' then p_task.available_at end);
