-- After uninstall in a database with the reference application: its tables work on without the engine.
begin;
create extension pgtap;
select plan(9);
select hasnt_schema('maintenance', 'schema maintenance is gone');
select hasnt_schema('maintenance_internal', 'schema maintenance_internal is gone');
select is((select string_agg(name, ' ') from public.users), 'Ada', 'a user of the application is still there');
select lives_ok($$insert into public.memories (user_id, key, content) select id, 'a', 'b' from public.users$$,
  'a memory can be added');
select set_eq($$select p.proname::text from pg_proc as p where p.pronamespace = 'public'::regnamespace
    and not exists (select from pg_depend as d where d.objid = p.oid and d.deptype = 'e')
    and p.proname in ('touch_updated_at', 'cleanup_temp_uploads', 'run_maintenance_cleanup', 'memory_hash')$$,
  array['touch_updated_at', 'memory_hash'], 'of the functions those are gone that cannot work without the engine');
select is_empty($$select p.proname from pg_proc as p where p.pronamespace = 'public'::regnamespace
  and p.prosrc ~ '\mmaintenance(_internal)?\.'$$, '... in whatever language');
select lives_ok('select * from public.chat_sessions', 'so are the views over them, and no other');
select lives_ok('delete from public.users', 'a user can be deleted');
select results_eq('select version::text from public.schema_migrations', array['20200101000000'],
  'a migration of somebody else is still on record');
select * from finish();
rollback;
