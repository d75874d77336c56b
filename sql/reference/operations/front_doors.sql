-- The clean-up of the cache as a function.

create function public.cleanup_expired_search_cache()
returns integer
language sql
set search_path = pg_catalog, pg_temp
return (maintenance_internal.run_or_raise('cache_cleanup') ->> 'rowsAffected')::integer;

comment on function public.cleanup_expired_search_cache() is
  'Deletes what has expired in search_cache (S2-08), in the caller''s transaction; rows deleted. '
  'Errors: PM008 it failed, PM009 it is running or disabled.';
