-- How many rows a page of a table holds, by the statistics; a hundred where there are none.

create function maintenance_internal.rows_per_page(p_leaf regclass)
returns double precision
language sql
stable
set search_path = pg_catalog, pg_temp
return (
  select case when c.reltuples > 0 and c.relpages > 0 then greatest(c.reltuples / c.relpages, 1)
    else 100 end
  from pg_class as c where c.oid = p_leaf);
