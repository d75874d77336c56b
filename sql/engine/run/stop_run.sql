-- Notes on a run's receipt why it stops. The first reason stands.

create function maintenance_internal.stop_run(
  p_run_id bigint,
  p_stop_reason text,
  p_sqlstate text,
  p_error text,
  p_error_detail jsonb default null)
returns void
language sql
set search_path = pg_catalog, pg_temp
begin atomic
  update maintenance_internal.run as r
  set stop_reason = coalesce(r.stop_reason, p_stop_reason),
    error = coalesce(r.error, p_error),
    sqlstate = coalesce(r.sqlstate, p_sqlstate),
    error_detail = coalesce(r.error_detail, p_error_detail)
  where r.run_id = p_run_id and r.status = 'running';
end;
