-- S2-11, C-20: a backup is of one moment while others write, keeps none of them waiting, and leaves nothing where it
-- fails or its session dies. Committing, in a database of its own. Other sessions are dblink connections.
\set QUIET on
set client_min_messages = error;
create extension pgtap;
select plan(22);
\ir connect.psql
select set_config('test.password', gen_random_uuid()::text, false) \g /dev/null
create function pg_temp.copies() returns bigint language sql as $$
  select count(*) from pg_class where relnamespace = 'maintenance_backup'::regnamespace and relkind = 'r' $$;
create function pg_temp.last() returns text language sql as $$
  select concat_ws(' ', r.status, r.stop_reason, r.sqlstate, (select b.status from public.backups as b
    where b.backup_id = (r.details ->> 'backupId')::bigint))
  from maintenance.run_history as r where job_name = 'automated_backup' order by run_id desc limit 1 $$;

-- What is read first waits at a gate, with the snapshot that it has. To be in two tables is to be in one of them.
create function public.wait_at_gate() returns integer language plpgsql as $$
begin
  perform pg_advisory_xact_lock_shared(4711);
  return 1;
end $$;
create view public.gate as select public.wait_at_gate() as open;
create table public.left_side (units integer);
create table public.right_side (units integer);
insert into public.left_side values (10);
insert into public.right_side values (0);
delete from public.backup_tables;
insert into public.backup_tables values ('gate'), ('left_side'), ('right_side'), ('topics');
select pg_advisory_lock(4711) \g /dev/null
create procedure pg_temp.begin_backup() language plpgsql as $$
begin
  perform dblink_send_query('other', $q$call maintenance.run_job('automated_backup')$q$);
  call pg_temp.wait_for($c$exists (select from pg_locks
    where locktype = 'advisory' and objid = 4711 and not granted)$c$);
end $$;
call pg_temp.begin_backup();
select results_eq('select status, tables from public.backups', $$values ('failed', '{}'::jsonb)$$,
  'S2-11: a backup that goes on is one that has failed, as far as others see');
set lock_timeout = '100ms';
select lives_ok($$with l as (update public.left_side set units = units - 10)
  update public.right_side set units = units + 10$$,
  'S2-11: while it works others write, also to what it has not come to yet');
select lives_ok($$insert into public.topics (name) values ('meanwhile')$$, '... and add');
select throws_ok('truncate public.right_side', '55P03', null, '... and nobody truncates');
reset lock_timeout;
select pg_advisory_unlock(4711) \g /dev/null
select from dblink_get_result('other') as d (r text) \g /dev/null
select from dblink_get_result('other', false) as d (r text) \g /dev/null
select is(pg_temp.last(), 'succeeded done verified', 'S2-11: then it is verified');
select tables #>> '{left_side,copy}' as l, tables #>> '{right_side,copy}' as r, tables #>> '{topics,rows}' as topics
from public.backups \gset
select results_eq($$select l.units, r.units from maintenance_backup.$$ || :'l' || ' as l, maintenance_backup.' || :'r'
    || ' as r', 'values (10, 0)',
  'S2-11: ... and all tables are as of the moment at which it began');
select is(:'topics'::text, '0', '... without what was added since');
select results_eq('select left_side.units, right_side.units from public.left_side, public.right_side', 'values (0, 10)',
  '... which is where it belongs');

-- A table that somebody alters.
alter function maintenance_internal.make_backup(bigint) set lock_timeout = '10ms';
select dblink_exec('third', 'begin; alter table public.topics add column more text') \g /dev/null
select throws_ok($$select from dblink('other', 'call maintenance.run_job(''automated_backup'')') as d (r text)$$,
  'PM008', null, 'S2-11: where a table is locked it fails');
select dblink_exec('third', 'rollback') \g /dev/null
select is(pg_temp.last(), 'failed lock_timeout 55P03 failed', 'S2-11: ... and says why');
select matches((select error_detail ->> 'context' from maintenance.run_history where status = 'failed'),
  'lock table public\.topics', '... and of which table');
select is(pg_temp.copies(), 4::bigint, '... leaves nothing of its own, and what was there');

-- A session that dies.
select pg_advisory_lock(4711) \g /dev/null
call pg_temp.begin_backup();
select pg_terminate_backend(backend_pid) from maintenance_internal.run where status = 'running' \g /dev/null
call pg_temp.wait_for($$not exists (select from pg_stat_activity as a join maintenance_internal.run as r
  on r.backend_pid = a.pid where r.status = 'running')$$);
select dblink_disconnect('other'), pg_advisory_unlock_all() \g /dev/null
select is(pg_temp.copies(), 4::bigint, 'S2-11: where its session dies nothing is left');
call maintenance.run_job('automated_backup');
select is(pg_temp.last(), 'succeeded done verified', '... and the next one succeeds');
select is(pg_temp.copies(), 8::bigint, '... beside the one that was there');

-- Whoever reads a copy is not disturbed.
\ir connect.psql
update public.backups set started_at = started_at - interval '31 days'
where backup_id = (select min(backup_id) from public.backups);
select dblink_exec('third', 'begin') \g /dev/null
select from dblink('third', 'select units::text from maintenance_backup.' || :'l') as d (r text) \g /dev/null
call maintenance.run_job('automated_backup');
select results_eq($$select pg_temp.last(), details -> 'pruned', details -> 'kept' from maintenance.run_history
    where job_name = 'automated_backup' order by run_id desc limit 1$$,
  $$select 'succeeded done verified', '0'::jsonb, jsonb_build_array(min(backup_id)) from public.backups$$,
  'what somebody reads stays');
select is((select count(*) from pg_class where relname in (:'l', :'r')), 2::bigint, '... as a whole');
select dblink_exec('third', 'commit') \g /dev/null
call maintenance.run_job('automated_backup');
select is((select details -> 'pruned' from maintenance.run_history where job_name = 'automated_backup'
  order by run_id desc limit 1), '1', '... and goes with the next');

-- An operator runs it, and gets at nothing.
select current_database() || '_operator' as operator \gset
select format('create role %I login password %L in role maintenance_operator', :'operator',
  current_setting('test.password')) \gexec
select dblink_connect('operator', format('host=%s port=%s user=%s password=%s dbname=%s', :'host', :'port', :'operator',
  current_setting('test.password'), current_database())) \g /dev/null
select from dblink('operator', 'call maintenance.run_job(''automated_backup'')') as d (r text) \g /dev/null
select is(pg_temp.last(), 'succeeded done verified', 'an operator runs it');
select from dblink('operator', 'call maintenance.run_job(''automated_backup'')') as d (r text) \g /dev/null
select is(pg_temp.last(), 'succeeded done verified', '... again in the same session');
select results_eq($$select * from dblink('operator', 'select verified from public.backup_statistics') as d (n bigint)$$,
  'select count(*) from public.backups where status = ''verified''', 'S2-27: ... sees how many there are');
select throws_ok($$select from dblink('operator', 'select name from maintenance_backup.$$ || (
  select tables #>> '{topics,copy}' from public.backups order by backup_id desc limit 1) || $$') as d (r text)$$,
  '42501', null, '... and reads none');
select dblink_disconnect('operator') \g /dev/null
drop role :operator;
select * from finish();
