-- What tables take on disk, with their indexes and TOAST, in bytes.

create function maintenance_internal.table_bytes(p_tables oid[])
returns bigint
language sql
stable
set search_path = pg_catalog, pg_temp
return (select sum(pg_total_relation_size(t)) from unnest(p_tables) as t);

-- The same for a receipt; nothing where one of them is locked just now.
create function maintenance_internal.size_of(p_tables oid[], p_key text)
returns jsonb
language plpgsql
stable
set search_path = pg_catalog, pg_temp
set lock_timeout = '100ms'
as $$
begin
  return jsonb_build_object(p_key, maintenance_internal.table_bytes(p_tables));
exception when lock_not_available then
  return '{}';
end
$$;
