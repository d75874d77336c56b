-- One of the tables that hold a target's rows, by its number. Every batch asks, so the usual
-- target, a table without children, costs one look at the catalogue.

create function maintenance_internal.find_leaf(p_target text, p_number integer)
returns regclass
language sql
stable
set search_path = pg_catalog, pg_temp
return coalesce(
  (select c.oid from pg_class as c
    where c.oid = to_regclass(p_target) and c.relkind = 'r' and not c.relhassubclass
      and p_number = 1),
  (maintenance_internal.leaf_tables(
    maintenance_internal.find_target(p_target)))[p_number])::regclass;
