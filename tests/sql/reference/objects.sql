-- What the reference application calls its own in public, and guards, is all that it makes there.
begin;
create extension pgtap;
select plan(2);

create temporary table of_an_extension as
select d.objid as oid from pg_depend as d where d.deptype = 'e';
select set_eq($$select c.relname::text from pg_class as c
    where c.relnamespace = 'public'::regnamespace and c.relkind in ('r', 'p', 'v', 'm', 'S', 'f') and c.oid not in (table of_an_extension)$$,
  $$select o.name from maintenance_internal.reference_objects() as o where o.kind = 'r'
    union values ('maintenance_status'), ('schema_migrations')$$, 'every table and view is on the list');
select set_eq($$select p.proname::text from pg_proc as p
    where p.pronamespace = 'public'::regnamespace and p.oid not in (table of_an_extension)$$,
  $$select o.name from maintenance_internal.reference_objects() as o where o.kind = 'f'$$, 'and every function');
select * from finish();
rollback;
