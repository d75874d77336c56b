-- The first key of our advisory locks; the second is the job's id. A step of a run holds it until
-- its transaction ends, so that others see that it is at work. It keeps nobody out: anybody can
-- take an advisory lock.

create function maintenance_internal.lock_class()
returns integer
language sql
immutable
set search_path = pg_catalog, pg_temp
return 1886216560;
