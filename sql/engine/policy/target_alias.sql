-- The alias that a rule's expressions know their table by: its name without the schema, quoted.

create function maintenance_internal.target_alias(p_table regclass)
returns text
language sql
stable
set search_path = pg_catalog, pg_temp
return (select quote_ident(c.relname) from pg_class as c where c.oid = p_table);
