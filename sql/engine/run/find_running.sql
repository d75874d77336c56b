-- The run that this backend is working on, or an error: a progress that a caller hands in is not
-- trusted to name somebody else's run.

create function maintenance_internal.find_running(p_run_id bigint)
returns maintenance_internal.run
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $$
declare
  v_run maintenance_internal.run := maintenance_internal.find_run(p_run_id);
begin
  if v_run.status <> 'running' then
    raise exception 'run % is over', p_run_id
      using errcode = 'PM002', hint = 'call maintenance.run_job(...) begins runs.';
  end if;
  return v_run;
end
$$;
