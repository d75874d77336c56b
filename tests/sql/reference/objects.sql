-- What the reference application calls its own, and guards, is all that it makes.
begin;
create extension pgtap;
select plan(4);

create function pg_temp.listed(kind text) returns setof text language sql
as $$ select o.name from maintenance_internal.reference_objects() as o where o.kind = listed.kind $$;
create temporary table of_an_extension as
select d.objid as oid from pg_depend as d where d.deptype = 'e';

select set_eq($$select c.relname::text from pg_class as c
    where c.relnamespace = 'public'::regnamespace and c.relkind in ('r', 'p', 'v', 'm', 'S', 'f')
      and c.oid not in (table of_an_extension) and c.relname not in ('maintenance_status', 'schema_migrations')$$,
  $$select pg_temp.listed('table')$$,
    'every table and view in public is on the list of reference objects, and no other');
select set_eq($$select p.proname::text from pg_proc as p
    where p.pronamespace = 'public'::regnamespace and p.oid not in (table of_an_extension)$$,
  $$select pg_temp.listed('function')$$, 'every function in public is on the list of reference objects, and no other');
select set_eq($$select j.job_name from maintenance_internal.job as j
    where j.job_name not in (select name from maintenance_internal.engine_ships())$$,
  $$select pg_temp.listed('job')$$,
    'every job that is not the engine''s is on the list of reference objects, and no other');
select set_eq('select k.kind from maintenance.kind as k', $$select pg_temp.listed('kind')$$,
  'every kind of task is on the list of reference objects, and no other');
select * from finish();
rollback;
