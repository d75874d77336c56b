-- A host in whose public schema a stranger has put traps (hostile.psql), before the install, between
-- two migrations and afterwards: nothing of ours was made of them, and nothing runs them.
\set QUIET on
set client_min_messages = error;
create schema tap;
create extension pgtap schema tap;
set search_path = tap, pg_catalog;
select plan(9);
select is_empty('table public.loot', 'F5: the install has run nothing of the stranger''s');

-- Ours: the two schemas, and what else their owner has made here.
create temporary table ours as
select 'pg_class'::regclass::oid as classid, c.oid as objid from pg_class as c where c.relowner = current_user::regrole
union all select 'pg_proc'::regclass, p.oid from pg_proc as p where p.proowner = current_user::regrole
union all select 'pg_type'::regclass, t.oid from pg_type as t where t.typowner = current_user::regrole
union all select 'pg_constraint'::regclass, k.oid from pg_constraint as k join pg_class as c on c.oid = k.conrelid
  where c.relowner = current_user::regrole
union all select 'pg_attrdef'::regclass, d.oid from pg_attrdef as d join pg_class as c on c.oid = d.adrelid
  where c.relowner = current_user::regrole
union all select 'pg_rewrite'::regclass, r.oid from pg_rewrite as r join pg_class as c on c.oid = r.ev_class
  where c.relowner = current_user::regrole
union all select 'pg_trigger'::regclass, t.oid from pg_trigger as t join pg_class as c on c.oid = t.tgrelid
  where c.relowner = current_user::regrole;
select cmp_ok((select count(*) from ours), '>', 500::bigint, 'there is something of ours');
select is_empty($$select pg_describe_object(d.classid, d.objid, 0), pg_describe_object(d.refclassid, d.refobjid, 0)
  from ours as o
  join pg_depend as d on d.classid = o.classid and d.objid = o.objid
  where d.refclassid in ('pg_proc'::regclass, 'pg_operator'::regclass, 'pg_type'::regclass, 'pg_class'::regclass)
    and (select x.owner from (
      select p.proowner as owner from pg_proc as p where d.refclassid = 'pg_proc'::regclass and p.oid = d.refobjid
      union all select p.oprowner from pg_operator as p
        where d.refclassid = 'pg_operator'::regclass and p.oid = d.refobjid
      union all select p.typowner from pg_type as p where d.refclassid = 'pg_type'::regclass and p.oid = d.refobjid
      union all select p.relowner from pg_class as p where d.refclassid = 'pg_class'::regclass and p.oid = d.refobjid
    ) as x) not in (current_user::regrole::oid, 10)$$, 'F5: nothing of ours hangs on anything foreign');

-- What runs every day, under the path that the owner's sessions have.
set search_path = "$user", public;
insert into public.sessions (token, expires_at) values ('a', now() - interval '1 day');
call maintenance.run_job('cleanup_expired_sessions') \g /dev/null
call maintenance.run_job('weekly_index_report') \g /dev/null
call maintenance.tick() \g /dev/null
select count(*) from public.maintenance_status \g /dev/null
select count(*) from maintenance.job_status \g /dev/null
select count(*) from maintenance.lint() \g /dev/null
select public.run_maintenance_cleanup() \g /dev/null
select maintenance.trigger_jobs('all', dry_run => true) \g /dev/null
select * from maintenance.next_run_at('0 3 * * *', now()) \g /dev/null
set search_path = public, pg_catalog;
call maintenance.run_job('cleanup_expired_sessions') \g /dev/null
select count(*) from public.maintenance_status \g /dev/null
set search_path = tap, pg_catalog;
select is_empty('table public.loot', 'F1: what runs at night runs nothing of the stranger''s');
select is((select count(*) from public.sessions), 0::bigint, '... and it did run');
select is(maintenance_internal.owner_path(), 'pg_catalog, pg_temp', 'a schema that is open to strangers is on no path');
select ok((select bool_or(fix ~ '^revoke create on schema public from')
    from maintenance.lint('cleanup_expired_sessions')),
  'lint says so, with the statement');
select is_empty($$select p.oid::regprocedure from pg_proc as p
  where p.pronamespace in ('maintenance'::regnamespace, 'maintenance_internal'::regnamespace)
    and coalesce(p.proconfig::text, '') !~ 'search_path'
    and regexp_replace(regexp_replace(p.prosrc, '--[^\n]*', '', 'g'), '''[^'']*''', '''''', 'g')
      ~ '[-+*/<>~!@#%^&|]|(?<!:)=(?!>)'$$,
  'F1: a routine that cannot pin its path uses no operator');
select lives_ok($$select public.format('a', 'b')$$, 'the trap itself works');
select * from finish();
