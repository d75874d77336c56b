-- The first key of our advisory locks; the second is the job's id, 0 for the sweep of leases, or -1
-- for the receipts of statement jobs.
-- While a run goes on, its backend holds (lock class, job id), and that is what alive means.

create function maintenance_internal.lock_class()
returns integer
language sql
immutable
set search_path = pg_catalog, pg_temp
return 1886216560;
