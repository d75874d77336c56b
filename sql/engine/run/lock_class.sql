-- The first key of our advisory locks; the second is the job's id, 0 for the sweep of leases, or -1
-- for the receipts of statement jobs. All of them end with their transaction.
-- A step of a run holds (lock class, job id), so that others see that it is at work.

create function maintenance_internal.lock_class()
returns integer
language sql
immutable
set search_path = pg_catalog, pg_temp
return 1886216560;
