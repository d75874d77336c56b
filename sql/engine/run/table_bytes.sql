-- What tables take on disk, with their indexes and TOAST, in bytes.

create function maintenance_internal.table_bytes(p_tables oid[])
returns bigint
language sql
stable
set search_path = pg_catalog, pg_temp
return (select sum(pg_total_relation_size(t)) from unnest(p_tables) as t);
