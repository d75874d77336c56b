-- What a step function wants to know of its run, null outside of one, and to leave on its receipt.

create function maintenance_internal.this_run()
returns bigint
language sql
stable
set search_path = pg_catalog, pg_temp
return substring(current_setting('maintenance.run_id', true) from '[0-9]+$')::bigint;

-- When it began; outside of one, now.
create function maintenance_internal.run_began()
returns timestamptz
language sql
stable
set search_path = pg_catalog, pg_temp
return coalesce((
  select r.started_at from maintenance_internal.run as r
  where r.run_id = maintenance_internal.this_run()), maintenance_internal.clock());

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
  where r.run_id = maintenance_internal.this_run()
    and r.status = 'running'
    and r.backend_pid = pg_backend_pid();
end
$$;

comment on function maintenance.add_details(jsonb) is
  'For step functions: adds keys to details on the receipt of the run that calls them; '
  'outside a run it does nothing.';
