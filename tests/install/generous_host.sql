-- On a host whose default privileges hand everything to everybody, nothing of the kit is handed out:
-- not when it is installed, and not when a routine is made again. What somebody granted stays.
begin;
create extension pgtap;
select plan(7);

create temporary table mine as
select c.oid, c.relacl as acl, c.oid::regclass::text as name from pg_class as c
where c.relkind in ('r', 'v', 'm', 'S')
  and (c.relnamespace in ('maintenance'::regnamespace, 'maintenance_internal'::regnamespace)
  or c.relnamespace = 'public'::regnamespace and c.relname <> 'schema_migrations' and not exists (
    select from pg_depend as d where d.objid = c.oid and d.deptype = 'e'))
union all
select p.oid, p.proacl, p.oid::regprocedure::text from pg_proc as p
where p.pronamespace in ('maintenance'::regnamespace, 'maintenance_internal'::regnamespace, 'public'::regnamespace)
  and not exists (
  select from pg_depend as d where d.objid = p.oid and d.deptype = 'e')
union all
select n.oid, n.nspacl, n.nspname from pg_namespace as n where n.nspname in ('maintenance', 'maintenance_internal');
create function pg_temp.open() returns setof text language sql as $$
  select m.name || ' ' || a.grantee::regrole from mine as m cross join aclexplode(m.acl) as a
  where a.grantee = 0 or a.grantee in (select r.oid from pg_roles as r where r.rolname like '%generous%') $$;
select ok(count(*) > 150, 'the catalogue holds more than 150 objects of the kit') from mine;
create table public.of_the_host (id integer);
select ok(has_table_privilege((select rolname from pg_roles where rolname like '%generous%'), 'public.of_the_host',
  'select'), 'the host''s default privileges open a new table to its role');
select is_empty('select pg_temp.open()', 'nothing of the kit is open on a host of generous default privileges');

create role other_host_role;
grant usage on schema maintenance to other_host_role;
grant execute on function maintenance.run_now(text) to other_host_role;
drop function maintenance.retry_task(bigint);
create function maintenance.retry_task(task_id bigint) returns jsonb language sql return null::jsonb;
select ok(has_function_privilege((select rolname from pg_roles where rolname like '%generous%'),
  'maintenance.retry_task(bigint)', 'execute'),
    'a routine that is made again is open by the host''s default privileges');
select lives_ok('select * from maintenance.grant_roles()', 'grant_roles runs on a host of generous default privileges');
select ok(not has_function_privilege((select rolname from pg_roles where rolname like '%generous%'),
  'maintenance.retry_task(bigint)', 'execute')
  and not has_function_privilege('public', 'maintenance.retry_task(bigint)', 'execute'),
    'grant_roles closes a routine that was made again');
select ok(has_function_privilege('other_host_role', 'maintenance.run_now(text)', 'execute'),
  'what somebody granted stays after grant_roles');
select * from finish();
rollback;
