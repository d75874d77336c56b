-- The clean-up of memories as a function.

create function public.cleanup_expired_memories()
returns jsonb
language sql
set search_path = pg_catalog, pg_temp
begin atomic
  select jsonb_build_object(
    'deletedCount', d.data -> 'rowsAffected',
    'bytesFreed', coalesce(d.data #> '{details,bytesFreed}', '0'),
    'cutoffDate', to_char(maintenance_internal.clock() at time zone 'UTC',
      'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"'))
  from maintenance_internal.run_or_raise('daily_memory_cleanup') as d (data);
end;

comment on function public.cleanup_expired_memories() is
  'Deletes the memories whose expires_at has come or, where they have none, that are eight months '
  'old (S2-09, C-18), in the caller''s transaction. Returns {deletedCount, bytesFreed: the size of '
  'the rows, cutoffDate: as of when}. Errors: PM008 it failed, PM009 it is running or disabled.';
