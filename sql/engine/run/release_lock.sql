-- Gives back the lock of a run that is over.

create function maintenance_internal.release_lock(p_run_id bigint)
returns void
language sql
security definer
set search_path = pg_catalog, pg_temp
set row_security = off
set timezone = 'UTC'
set lock_timeout = '5s'
begin atomic
  select pg_advisory_unlock(maintenance_internal.lock_class(), r.job_id)
  from maintenance_internal.find_run(p_run_id) as r
  where r.status <> 'skipped';
end;
