-- Raises what a failed run ended with, after its receipt is safe, so that pg_cron says failed too.

create function maintenance_internal.raise_failure(p_run_id bigint)
returns void
language plpgsql
stable
security definer
set search_path = pg_catalog, pg_temp
set row_security = off
set timezone = 'UTC'
set lock_timeout = '5s'
as $$
declare
  v_run maintenance_internal.run := maintenance_internal.find_run(p_run_id);
begin
  if v_run.status = 'cancelled' then
    raise exception '%', v_run.error
      using errcode = 'query_canceled', detail = format('run %s of %s', p_run_id, v_run.job_name);
  elsif v_run.status = 'failed' then
    raise exception '% failed: %', v_run.job_name, v_run.error
      using errcode = 'PM008',
        detail = format('run %s, SQLSTATE %s, %s rows changed, %s refused',
          p_run_id, v_run.sqlstate, v_run.rows_affected, v_run.rows_refused),
        hint = format('select error_detail from maintenance.run_history where run_id = %s; as the '
          'owner, who alone may see what a row says.', p_run_id);
  end if;
end
$$;
