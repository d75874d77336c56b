-- A run that this session began, or an error: nobody hands in the id of somebody else's run.

create function maintenance_internal.find_run(p_run_id bigint)
returns maintenance_internal.run
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $$
declare
  v_run maintenance_internal.run;
begin
  select * into v_run
  from maintenance_internal.run as r
  where r.run_id = p_run_id and r.backend_pid = pg_backend_pid();
  if not found then
    raise exception 'run % was not begun by this session', p_run_id
      using errcode = 'PM002', hint = 'call maintenance.run_job(...) begins runs.';
  end if;
  return v_run;
end
$$;
