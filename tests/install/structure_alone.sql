-- A database that was made of a dump of the structure: nothing is registered, and the status says so
-- until register has put the shipped rows back.
\set QUIET on
set client_min_messages = error;
create extension pgtap;
select plan(9);
select results_eq('select task, severity, advice from public.maintenance_status where severity = ''critical''',
  $$values ('registered_jobs', 'critical', 'As the owner: select * from maintenance.register();')$$,
  'the status is critical where no job is registered');
create function pg_temp.hint(statement text) returns text language plpgsql as $$
declare v_hint text;
begin
  execute statement;
  return 'none';
exception when others then
  get stacked diagnostics v_hint = pg_exception_hint;
  return sqlstate || ' ' || v_hint;
end $$;
select is(pg_temp.hint('select public.cleanup_expired_sessions()'),
  'PM001 None is registered here: select * from maintenance.register();', 'a front door says what is missing');
select is_empty($$select * from maintenance.register() where outcome <> 'registered' and kind <> 'schedule'$$,
  'register puts every row back');
select set_eq('select job_name from maintenance.job_status', $$select o.name
  from maintenance_internal.reference_objects() as o
    where o.kind = 'job' union select name from maintenance_internal.engine_ships() where kind = 'job'$$,
      'all jobs are there again');
select set_eq('select kind from maintenance.kind', $$select o.name
  from maintenance_internal.reference_objects() as o where o.kind = 'kind'$$, 'all kinds are there again');
select is((select count(*) from maintenance.model), 3::bigint, 'all models are there again');
select maintenance.configure_job('cleanup_temp_uploads', batch_size => 7);
update maintenance_internal.policy set keep = '3 days' where target = 'public.sessions';
select is_empty($$select * from maintenance.register() where outcome <> 'there' and kind <> 'schedule'$$,
  'a second call registers nothing');
select is((select keep from maintenance_internal.policy where target = 'public.sessions'), interval '3 days',
  'a rule that somebody changed stays as it is');
select is_empty('select * from public.maintenance_status where severity = ''critical''',
  'nothing is critical any more');
select * from finish();
