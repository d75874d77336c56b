-- Calls a function of the owner's under the path of the owner's own sessions: the step of a job,
-- for a batch of rows, and what tells how many are due.

create function maintenance_internal.call_step(
  p_step text,
  p_rows integer,
  p_at maintenance_internal.progress)
returns bigint
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
  v_function regproc := maintenance_internal.find_function(p_step, 'integer', 'bigint');
  v_rows bigint;
begin
  perform set_config('search_path', p_at.path, true);
  execute format('select %s($1)', v_function) into v_rows using p_rows;
  if p_at.check_deferred is not null then
    execute p_at.check_deferred;
  end if;
  return coalesce(v_rows, 0);
end
$$;

create function maintenance_internal.call_backlog(
  p_function text,
  p_cap integer,
  p_path text,
  out due bigint,
  out oldest timestamptz)
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $$
declare
  v_function regproc := maintenance_internal.find_function(p_function, 'integer',
    'TABLE(due bigint, oldest timestamp with time zone)');
begin
  perform maintenance_internal.check_session();
  perform set_config('search_path', p_path, true);
  execute format('select c.due, c.oldest from %s($1) as c', v_function)
  into due, oldest using p_cap;
end
$$;
