-- What others do to a run while it goes on: rules and partitions that change, tables that are locked,
-- sessions that go on without it, time-outs, foreign keys that are switched off.
-- Committing, in a database of its own. Another session is a dblink connection called "other".
\set QUIET on
set client_min_messages = error;
create extension pgtap;
select plan(42);
\ir connect.psql

create view public.last_run as
select h.status, h.rows_affected, h.stop_reason, h.sqlstate, h.rows_refused
from maintenance.run_history as h order by h.run_id desc limit 1;
-- A trigger that waits at a row, while this session holds a lock.
create function public.wait() returns trigger language plpgsql as $$
begin
  while old.id = 15 and not pg_try_advisory_xact_lock_shared(42) loop perform pg_sleep(0.02); end loop;
  return old;
end $$;
create procedure pg_temp.start_and_wait(job text) language plpgsql as $$
begin
  perform dblink_send_query('other', format('call maintenance.run_job(%L)', job));
  call pg_temp.wait_for($q$exists (select from pg_stat_activity as a
    join maintenance_internal.run as r on r.backend_pid = a.pid
    where r.status = 'running' and a.wait_event = 'PgSleep')$q$);
end $$;
create procedure pg_temp.let_go() language plpgsql as $$
begin
  perform pg_advisory_unlock(42);
  begin
    perform from dblink_get_result('other') as d (r jsonb);
  exception when others then
    null;
  end;
  perform from dblink_get_result('other', false) as d (r jsonb);
end $$;

-- C1: partitions that go. Three of 10 rows; the run waits in the second batch of the second one.
create procedure pg_temp.make_partitions() language plpgsql as $$
begin
  drop table if exists public.ev;
  create table public.ev (id integer, at timestamptz, part integer) partition by list (part);
  create table public.ev1 partition of public.ev for values in (1);
  create table public.ev2 partition of public.ev for values in (2);
  create table public.ev3 partition of public.ev for values in (3);
  insert into public.ev select g, now() - interval '9 days', (g + 9) / 10 from generate_series(1, 30) as g;
  create trigger wait before delete on public.ev2 for each row execute function public.wait();
  perform maintenance.set_policy('ev', 'public.ev', 'delete', 'at', '7 days');
  perform maintenance.configure_job('ev', batch_size => 4);
  perform pg_advisory_lock(42);
end $$;
call pg_temp.make_partitions();
commit;
call pg_temp.start_and_wait('ev');
drop table public.ev1;
alter table public.ev detach partition public.ev3;
call pg_temp.let_go();
select results_eq('select status, rows_affected, stop_reason, rows_refused from public.last_run',
  $$values ('succeeded', 20::bigint, 'done', 0::bigint)$$, 'C1: a partition that was worked already may go');
select is((select count(*) from public.ev3), 10::bigint, 'a partition that is detached meanwhile is left alone');
drop table public.ev3;
call pg_temp.make_partitions();
call pg_temp.start_and_wait('ev');
select dblink_send_query('third', 'drop table public.ev2') \g /dev/null
call pg_temp.let_go();
select count(*) from dblink_get_result('third') as d (t text) \g /dev/null
select count(*) from dblink_get_result('third') as d (t text) \g /dev/null
select results_eq('select status, stop_reason, rows_refused from public.last_run',
  $$values ('succeeded', 'done', 0::bigint)$$, 'a partition that is dropped while it is worked ends that leaf alone');
select is((select count(*) from public.ev3), 0::bigint, 'the partition behind one that is dropped is worked');

-- A partition that is locked, and one that goes while the run waits to look at it.
call pg_temp.make_partitions();
alter table public.ev2 disable trigger wait;
select dblink_exec('third', 'begin; lock table public.ev1') \g /dev/null
select throws_ok($$select from dblink('other', 'call maintenance.run_job(''ev'')') as d (r jsonb)$$, 'PM008', null,
  'a partition that stays locked fails the run');
select results_eq('select status, rows_affected, stop_reason from public.last_run',
  $$values ('failed', 20::bigint, 'lock_timeout')$$, 'a partition that is locked keeps no other');
select dblink_exec('third', 'drop table public.ev1') \g /dev/null
select dblink_send_query('other', 'call maintenance.run_job(''ev'')') \g /dev/null
call pg_temp.wait_for($$exists (select from pg_stat_activity where wait_event_type = 'Lock' and query ~ 'run_job')$$);
select dblink_exec('third', 'commit') \g /dev/null
call pg_temp.let_go();
select results_eq('select status, stop_reason from public.last_run', $$values ('succeeded', 'done')$$,
  'a partition that goes while a run waits for it ends that leaf alone');

-- A rule that changes, a table that is another one.
create table public.events (id integer primary key, at timestamptz, also timestamptz default now());
create function public.fill() returns void language plpgsql as $$ begin
  delete from public.events;
  insert into public.events select i, now() - interval '1 year' from generate_series(1, 25) as i;
end $$;
create trigger wait before delete on public.events for each row execute function public.wait();
select maintenance.set_policy('purge', 'public.events', 'delete', 'at', '1 day') \g /dev/null
select maintenance.configure_job('purge', batch_size => 10) \g /dev/null
select public.fill(), pg_advisory_lock(42) \g /dev/null
call pg_temp.start_and_wait('purge');
select maintenance.set_policy('purge', 'public.events', 'delete', 'also', '10 years') \g /dev/null
call pg_temp.let_go();
select results_eq('select status, rows_affected, stop_reason, sqlstate from public.last_run',
  $$values ('failed', 20::bigint, 'rule_changed', 'PM022')$$, 'a rule that is changed meanwhile ends the run');
select is((select count(*) from public.events), 5::bigint,
  'a rule that is changed takes nothing by the old one any more');
call maintenance.run_job('purge');
select is((select count(*) from public.events), 5::bigint, 'the next run goes by the new rule');
select maintenance.set_policy('purge', 'public.events', 'delete', 'at', '1 day') \g /dev/null
select public.fill(), pg_advisory_lock(42) \g /dev/null
call pg_temp.start_and_wait('purge');
select dblink_send_query('third', 'begin; alter table public.events rename to events_before; '
  'create table public.events (like public.events_before including all); '
  'insert into public.events select * from public.events_before; commit') \g /dev/null
call pg_temp.let_go();
select count(*) from dblink_get_result('third') as d (t text) \g /dev/null
select count(*) from dblink_get_result('third') as d (t text) \g /dev/null
select ok(stop_reason in ('rule_changed', 'lock_timeout'), 'a table that is another one meanwhile ends the run')
from public.last_run;
drop table public.events_before;
create trigger wait before delete on public.events for each row execute function public.wait();

-- A lock on the whole table, that is let go when the run has waited for more than a second.
select public.fill(), dblink_disconnect('third') \g /dev/null
\ir connect.psql
select max(run_id) as last from maintenance_internal.run \gset
select dblink_exec('third', 'begin; lock table public.events') \g /dev/null
select dblink_send_query('other', $$call maintenance.run_job('purge')$$) \g /dev/null
call pg_temp.wait_for(format($$exists (select from maintenance_internal.run where run_id > %s
  and (status <> 'running' or touched_at > started_at + interval '1 second'))$$, :last));
select dblink_exec('third', 'commit') \g /dev/null
call pg_temp.let_go();
select results_eq('select status, rows_affected, stop_reason from public.last_run',
  $$values ('succeeded', 25::bigint, 'done')$$, 'a table that is locked for a moment is waited for');
select dblink_disconnect('third') \g /dev/null
\ir connect.psql
select public.fill(), pg_advisory_lock(42) \g /dev/null
call pg_temp.start_and_wait('purge');
select dblink_send_query('third', 'begin; lock table public.events; select pg_sleep(600)') \g /dev/null
call pg_temp.let_go();
select results_eq('select status, stop_reason, sqlstate, rows_refused from public.last_run',
  $$values ('failed', 'lock_timeout', '55P03', 0::bigint)$$,
    'a table that stays locked ends the run, and refuses no row');
select is((select count(*) from pg_locks as l where l.locktype = 'advisory' and l.database =
  (select oid from pg_database where datname = current_database())), 0::bigint,
    'no lock is left by a run that gave up');
select dblink_cancel_query('third') \g /dev/null
select dblink_disconnect('third') \g /dev/null
call pg_temp.wait_for($$not exists (select from pg_locks where relation = 'public.events'::regclass
  and mode = 'AccessExclusiveLock')$$);
\ir connect.psql

-- C16: a deferred key, in committed batches.
create table public.refers (event_id integer references public.events deferrable initially deferred);
create index on public.refers (event_id);
select public.fill() \g /dev/null
insert into public.refers values (7);
select throws_ok($$select from dblink('third', 'call maintenance.run_job(''purge'')') as d (r jsonb)$$, 'PM008', null,
  'C16: a refused row fails the run');
select results_eq('select status, rows_affected, stop_reason, rows_refused from public.last_run',
  $$values ('failed', 24::bigint, 'refused_rows', 1::bigint)$$, 'C16: a deferred key refuses its row at the batch');
drop table public.refers;

-- Two sessions whose role wants every transaction in one snapshot; a lock of somebody who is nobody.
select public.fill(), pg_advisory_lock(42) \g /dev/null
select format('alter role %I in database %I set default_transaction_isolation = %L', current_user,
  current_database(), 'repeatable read') \gexec
select dblink_disconnect('other'), dblink_disconnect('third') \g /dev/null
\ir connect.psql
call pg_temp.start_and_wait('purge');
select lives_ok($$select from dblink('third', 'call maintenance.run_job(''purge'')') as d (r jsonb)$$,
  'a second runner is no error under repeatable read');
select results_eq('select status, stop_reason from public.last_run', $$values ('skipped', 'already_running')$$,
  'a second runner leaves its receipt under repeatable read');
call pg_temp.let_go();
select is((select count(*) from public.events), 0::bigint,
  'the first runner goes on under repeatable read');
select format('alter role %I in database %I reset default_transaction_isolation', current_user,
  current_database()) \gexec
select dblink_disconnect('other'), dblink_disconnect('third') \g /dev/null
\ir connect.psql
select format('nobody_%s', pg_backend_pid()) as nobody \gset
create role :nobody login password 'nobody';
select dblink_connect('nobody', format('host=%s port=%s user=%s password=nobody dbname=%s', :'host', :'port', :'nobody',
  current_database())) \g /dev/null
select from dblink('nobody', format('select pg_advisory_lock(maintenance_class, %s)::text from (select 1886216560 as '
  'maintenance_class) as c',
    (select job_id from maintenance_internal.job where job_name = 'purge'))) as d (t text) \g /dev/null
call maintenance.run_job('purge');
select is((select status from public.last_run), 'succeeded', 'nobody keeps a job from running by taking its lock');
select dblink_disconnect('nobody') \g /dev/null
drop role :nobody;

-- N-006, N-012: a session that goes on without its run, one that is gone, and a job that is dropped.
select public.fill() \g /dev/null
select run_id as left_open from dblink('other', $$select maintenance_internal.start_run('purge', true)$$)
  as d (run_id bigint) \gset
select results_eq($$select running, last_status from maintenance.job_status where job_name = 'purge'$$,
  $$values (true, 'running')$$, 'a run that has just begun is running');
update maintenance_internal.run set touched_at = now() - interval '1 minute' where run_id = :left_open;
select results_eq($$select running, last_status from maintenance.job_status where job_name = 'purge'$$,
  $$values (false, 'interrupted')$$, 'a run that nobody is at work on is not running');
select matches(advice, '^The last run was interrupted\. call maintenance\.run_job',
  'the status says what to do about it')
from public.maintenance_status where task = 'purge';
call maintenance.run_job('purge');
select results_eq(format('select status, stop_reason from maintenance.run_history where run_id >= %s order by run_id',
  :left_open), $$values ('interrupted', 'left_open'), ('succeeded', 'done')$$,
    'the next run closes the receipt that a session left open, and goes on');
select run_id as left_open from dblink('other', $$select maintenance_internal.start_run('purge', true)$$)
  as d (run_id bigint) \gset
select lives_ok($$select from dblink('other', 'call maintenance.run_job(''purge'')') as d (r jsonb)$$,
  'the session that left it open runs again');
select results_eq(format('select status, stop_reason from maintenance.run_history where run_id >= %s order by run_id',
  :left_open), $$values ('interrupted', 'left_open'), ('succeeded', 'done')$$,
    'a session closes at once what it left open itself');
select run_id as left_open from dblink('other', $$select maintenance_internal.start_run('purge', true)$$)
  as d (run_id bigint) \gset
select maintenance.drop_job('purge') \g /dev/null
select dblink_disconnect('other') \g /dev/null
call pg_temp.wait_for(format($$not exists (select from pg_stat_activity as a join maintenance_internal.run as r
  on r.backend_pid = a.pid where r.run_id = %s)$$, :left_open));
call maintenance.tick();
select results_eq(format('select status, stop_reason from maintenance.run_history where run_id = %s', :left_open),
  $$values ('interrupted', 'backend_gone')$$,
    'the tick closes the receipt of a dead run, also of a job that is dropped');
\ir connect.psql

create function pg_temp.run_in_other(job text) returns text language plpgsql as $$
begin
  perform from dblink('other', format('call maintenance.run_job(%L)', job)) as d (r jsonb);
  return 'no error';
exception when query_canceled or others then
  return sqlstate;
end $$;
-- N-007, C18: the time-out of the owner's role counts the whole run.
create table public.slow (id integer primary key, at timestamptz);
create index on public.slow (at);
insert into public.slow select g, now() - interval '9 days' from generate_series(1, 3000) as g;
create function public.dawdle() returns trigger language plpgsql
as $$ begin perform pg_sleep(0.001); return old; end $$;
create trigger dawdle before delete on public.slow for each row execute function public.dawdle();
select maintenance.set_policy('slow', 'public.slow', 'delete', 'at', '7 days') \g /dev/null
select format('alter role %I in database %I set statement_timeout = %L', current_user, current_database(),
  '500ms') \gexec
select dblink_disconnect('other') \g /dev/null
\ir connect.psql
select is(pg_temp.run_in_other('slow'), '57014', 'a time-out of the role cuts a run');
select ok(status in ('cancelled', 'running') and rows_affected > 0, 'a run that a time-out cuts has done something')
from public.last_run;
select ok(count(*) < 3000, 'what a run did before a time-out stays done') from public.slow;
update maintenance_internal.run set touched_at = now() - interval '1 minute' where status = 'running';
select matches(finding, '^statement_timeout of the role .* in the database .* is 500ms', 'lint names the time-out')
from maintenance.lint('slow') where finding ~ 'timeout';
select results_eq($$select severity,
  advice ~ '^The last run was (cancelled|interrupted)\. statement_timeout of the role '
  from public.maintenance_status where task = 'slow'$$, $$values ('warning', true)$$,
    'a run that was cut is no success, and the status names the time-out');
select fix as cure from maintenance.lint('slow') where finding ~ 'timeout' \gset
:cure
select is_empty($$select * from maintenance.lint('slow') where finding ~ 'timeout'$$, 'what lint prints cures it');

-- N-008: foreign keys that are switched off. Only a superuser can.
create table public.par (id integer primary key, at timestamptz);
create index on public.par (at);
create table public.chi (par_id integer references public.par on delete cascade);
create index on public.chi (par_id);
insert into public.par values (1, now() - interval '9 days');
insert into public.chi values (1);
select maintenance.set_policy('par', 'public.par', 'delete', 'at', '7 days') \g /dev/null
\getenv as_superuser AS_SUPERUSER
\if :{?as_superuser}
\setenv DB :DBNAME
\! $AS_SUPERUSER -d $DB -c 'alter table public.par disable trigger all'
select results_eq($$select r ->> 'message', r #>> '{data,sqlstate}' from maintenance.run_now('par') as r$$,
  $$values ('par failed: foreign keys of public.par are switched off: its triggers are disabled', 'PM021')$$,
    'a run does not begin where foreign keys are switched off for the table');
select is((select count(*) from public.chi), 1::bigint, 'no orphan is made');
select results_eq($$select severity, fix from maintenance.lint('par') where finding ~ 'switched off'$$,
  $$values ('critical', 'alter table public.par enable trigger all;')$$,
    'lint names the table whose keys are switched off');
\! $AS_SUPERUSER -d $DB -c 'alter table public.par enable trigger all'
\setenv ROLE :USER
\! $AS_SUPERUSER -d $DB -c "alter role $ROLE in database $DB set session_replication_role = replica"
select is(maintenance.run_now('par') #>> '{data,sqlstate}', 'PM021',
  'a run does not begin where foreign keys are switched off for the role');
select matches(fix, '^alter role .* in database .* reset session_replication_role;$', 'lint has the statement')
from maintenance.lint('par') where finding ~ 'switched off';
\! $AS_SUPERUSER -d $DB -c "alter role $ROLE in database $DB reset session_replication_role"
\else
select skip('needs a superuser', 5);
\endif
select is(maintenance.run_now('par') #>> '{data,status}', 'succeeded', 'with its keys on, the run goes');
select is((select count(*) from public.chi), 0::bigint, 'the delete cascades');

call maintenance.tick(); -- a time-out between two batches leaves it to the next look
select is((select count(*) from maintenance_internal.run where status = 'running'), 0::bigint,
  'no receipt is left open');
select is((select count(*) from maintenance_internal.piece), 0::bigint, 'no piece is left');
select * from finish();
