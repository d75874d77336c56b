-- Who may do what: the owner writes rules, operators run, viewers look, workers see nothing.
begin;
create extension pgtap;
select plan(29);

create role some_operator in role maintenance_operator;
create role some_viewer in role maintenance_viewer;
create role some_worker in role maintenance_worker;
create role nobody_special;
grant usage on schema public to some_operator, some_viewer, some_worker, nobody_special;
grant some_operator, some_viewer, some_worker, nobody_special to current_user;
create table public.events (id bigint primary key, at timestamptz);
insert into public.events values (1, now() - interval '1 year');
select maintenance.set_policy('purge', 'public.events', 'delete', 'at', '1 day');
set local role some_operator;
select throws_ok($$select maintenance.set_policy('x', 'public.events', 'delete', 'at', '1 day')$$, '42501', null,
  'an operator cannot set a policy');
select throws_ok($$select maintenance.set_job('x', 'public.f')$$, '42501', null,
  'an operator cannot set a function job');
select throws_ok($$select maintenance.set_statement('x', 'vacuum')$$, '42501', null,
  'an operator cannot set a statement job');
select throws_ok($$select maintenance.configure_job('purge', 1)$$, '42501', null, 'an operator cannot configure a job');
select throws_ok($$select maintenance.drop_job('purge')$$, '42501', null, 'an operator cannot drop a job');
select throws_ok($$select maintenance_internal.upsert_job(null)$$, '42501', null,
  'an operator cannot call upsert_job of the internal schema');
select throws_ok($$insert into maintenance_internal.job (job_name, kind, description) values ('x', 'policy', '')$$,
  '42501', null, 'an operator cannot insert into the registry of jobs');
select throws_ok($$update maintenance_internal.policy set keep = '0'$$, '42501', null,
  'an operator cannot edit a rule');
select throws_ok($$delete from maintenance_internal.run$$, '42501', null, 'an operator cannot delete receipts');
select throws_ok($$select * from public.events$$, '42501', null, 'an operator cannot read a table under a policy');
select is((select due from maintenance.preview('purge')), 1::bigint, 'an operator can preview');
select ok(maintenance.explain_policy('purge') like '%delete from only public.events%',
  'an operator can explain a policy');
select is(maintenance.run_now('purge') #>> '{data,rowsAffected}', '1', 'an operator can run a job');
select is((maintenance.disable_job('purge')).enabled, false, 'an operator can disable a job');
select is((maintenance.enable_job('purge')).enabled, true, 'an operator can enable a job');
select is((select count(*) from maintenance.run_history where job_name = 'purge'), 1::bigint,
  'an operator can read receipts');
select is((public.run_maintenance_cleanup() -> 'errors'), '[]', 'an operator can call run_maintenance_cleanup');
select lives_ok('select public.get_database_health_stats()', 'an operator can call get_database_health_stats');
select throws_ok($$select maintenance_internal.count_due(null, now(), 1, '')$$, '42501', null,
  'an operator cannot call count_due of the internal schema');

set local role some_viewer;
select lives_ok('select * from public.maintenance_status', 'a viewer reads the status');
select lives_ok('select * from maintenance.lint()', 'a viewer can call lint');
select throws_ok($$select maintenance.run_now('purge')$$, '42501', null, 'a viewer runs nothing');
select throws_ok($$select public.cleanup_temp_uploads()$$, '42501', null, 'a viewer cannot call cleanup_temp_uploads');

set local role some_worker;
select throws_ok('select * from public.maintenance_status', '42501', null, 'a worker reads no status');
select throws_ok($$select maintenance.run_now('purge')$$, '42501', null, 'a worker runs nothing');

set local role nobody_special;
select throws_ok('select * from public.maintenance_status', '42501', null, 'a role without rights reads no status');
select throws_ok('select public.run_maintenance_cleanup()', '42501', null,
  'a role without rights cannot call run_maintenance_cleanup');
select throws_ok('select maintenance_internal.clock()', '42501', null,
  'a role without rights cannot use the internal schema');

reset role;
select results_eq('select role_name, outcome, fix from maintenance.grant_roles()',
  $$values ('maintenance_viewer', 'there', null::text), ('maintenance_operator', 'there', null),
    ('maintenance_worker', 'there', null)$$,
  'grant_roles can be called again');
select * from finish();
rollback;
