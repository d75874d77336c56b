-- In bytes: what the databases of this server take, as far as one may ask, and what its disk holds.
create function maintenance_internal.disk_use(out used numeric, out capacity numeric)
language sql
stable
set search_path = pg_catalog, pg_temp
begin atomic
  select sum(pg_database_size(d.oid)),
    nullif(maintenance_internal.setting('disk_capacity_gb') * 1073741824, 0)
  from pg_database as d where has_database_privilege(d.oid, 'connect');
end;
