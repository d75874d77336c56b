-- What a step function wants to leave on its run's receipt.

create function maintenance.add_details(details jsonb)
returns void
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
set lock_timeout = '5s'
as $$
begin
  update maintenance_internal.run as r
  set details = r.details || add_details.details
  where r.run_id = substring(current_setting('maintenance.run_id', true) from '[0-9]+$')::bigint
    and r.status = 'running'
    and r.backend_pid = pg_backend_pid();
end
$$;

comment on function maintenance.add_details(jsonb) is
  'For step functions: adds keys to details on the receipt of the run that calls them; '
  'outside a run it does nothing.';
