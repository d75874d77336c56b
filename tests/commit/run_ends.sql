-- A run that is cancelled, or whose session is killed, keeps what it committed, leaves no lock and
-- a truthful receipt; rows that somebody else holds are left for the next run.
-- Committing, in a database of its own. Another session is a dblink connection called "other".
\set QUIET on
set client_min_messages = error;
create extension pgtap;
select plan(24);
\ir connect.psql

create table public.events (id integer primary key, at timestamptz);
create function public.fill() returns void language sql
begin atomic
  delete from public.events;
  insert into public.events select i, now() - interval '1 year' from generate_series(1, 25) as i;
end;
select maintenance.set_policy('purge', 'public.events', 'delete', 'at', '1 day') \g /dev/null
select maintenance.configure_job('purge', batch_size => 10) \g /dev/null
create function public.wait_in_second_batch() returns trigger language plpgsql
as $$ begin
  -- no lock_timeout ends this
  while old.id = 15 and not pg_try_advisory_xact_lock_shared(42) loop perform pg_sleep(0.02); end loop;
  return old;
end $$;
create trigger wait before delete on public.events
for each row execute function public.wait_in_second_batch();

create view public.last_run as
select h.status, h.rows_affected, h.stop_reason, h.sqlstate
from maintenance.run_history as h order by h.run_id desc limit 1;

create procedure pg_temp.stop_in_second_batch() language plpgsql
as $$
begin
  perform public.fill();
  commit; -- else the other session may look before there is anything to see
  perform dblink_send_query('other', $q$call maintenance.run_job('purge')$q$);
  call pg_temp.wait_for($q$exists (select from pg_stat_activity as a
    join maintenance_internal.run as r on r.backend_pid = a.pid
    where r.status = 'running' and a.wait_event = 'PgSleep')$q$);
end
$$;

-- Runs the job in a third session, whose error is no end of this file.
create function pg_temp.run_it() returns text language plpgsql
as $$
begin
  perform dblink_exec('third', $q$call maintenance.run_job('purge')$q$);
  return 'no error';
exception when others then
  return sqlstate;
end
$$;

-- The state that the other session's statement ended with; throws_ok cannot catch a cancellation.
create function pg_temp.result_of_other() returns text language plpgsql
as $$
begin
  perform from dblink_get_result('other') as d (r jsonb);
  return 'no error';
exception when query_canceled or others then
  return sqlstate;
end
$$;

-- Cancelled.
select pg_advisory_lock(42) \g /dev/null
call pg_temp.stop_in_second_batch();
select pg_cancel_backend(backend_pid) from maintenance_internal.run where status = 'running' \g /dev/null
select is(pg_temp.result_of_other(), '57014', 'a cancelled run raises query_canceled');
select count(*) from dblink_get_result('other', false) as d (r jsonb) \g /dev/null
select pg_advisory_unlock(42) \g /dev/null
select results_eq('select * from public.last_run', $$values ('cancelled', 10::bigint, 'cancelled', '57014')$$,
  'the receipt of a cancelled run says cancelled, with the rows of the committed batch');
select is((select count(*) from public.events), 15::bigint,
  'the rows that a cancelled run committed are gone, and no others');
select is((select count(*) from pg_locks where locktype = 'advisory'), 0::bigint, 'a cancelled run leaves no lock');
call maintenance.run_job('purge') \g /dev/null
select results_eq('select * from public.last_run', $$values ('succeeded', 15::bigint, 'done', null::text)$$,
  'the run after a cancelled one takes the rest');

-- Killed.
select pg_advisory_lock(42) \g /dev/null
call pg_temp.stop_in_second_batch();
select pg_terminate_backend(backend_pid, 10000) from maintenance_internal.run where status = 'running' \g /dev/null
select pg_advisory_unlock(42) \g /dev/null
select dblink_disconnect('other') \g /dev/null
select results_eq('select * from public.last_run', $$values ('running', 10::bigint, null::text, null::text)$$,
  'a killed session cannot close its receipt');
call maintenance.run_job('purge') \g /dev/null
select results_eq($$select status, rows_affected, stop_reason, finished_at is not null
    from maintenance.run_history order by run_id desc limit 1 offset 1$$,
  $$values ('interrupted', 10::bigint, 'backend_gone', true)$$,
    'the run after a killed one closes its receipt as interrupted');
select results_eq('select * from public.last_run', $$values ('succeeded', 15::bigint, 'done', null::text)$$,
  'the run after a killed one takes the rest');

-- A long run is not a dead one: liveness is the held lock, and no age.
\ir connect.psql
select pg_advisory_lock(42) \g /dev/null
call pg_temp.stop_in_second_batch();
select ok(maintenance_internal.is_alive(job_id, backend_pid, now() - interval '3 days'),
  'a run that ended its last step three days ago and is in another one is alive')
from maintenance_internal.run where status = 'running';
call maintenance.run_job('purge') \g /dev/null
select results_eq('select status, stop_reason from public.last_run', $$values ('skipped', 'already_running')$$,
  'a run that is in a step is left alone');
select is((select count(*) from maintenance_internal.run where status = 'running'), 1::bigint,
  'the receipt of a run that is in a step stays open');
select pg_advisory_unlock(42) \g /dev/null
select count(*) from dblink_get_result('other') as d (r jsonb) \g /dev/null
select count(*) from dblink_get_result('other') as d (r jsonb) \g /dev/null
drop trigger wait on public.events;

-- Rows held by somebody else.
select public.fill() \g /dev/null
select dblink_exec('other', 'begin') \g /dev/null
select dblink_exec('other', 'update public.events set at = at where id in (3, 14)') \g /dev/null
call maintenance.run_job('purge') \g /dev/null
select results_eq('select status, rows_affected, sqlstate from public.last_run',
  $$values ('succeeded', 23::bigint, null::text)$$, 'locked rows are left out, and all others go');
call maintenance.run_job('purge') \g /dev/null
select results_eq('select * from public.last_run', $$values ('succeeded', 0::bigint, 'rows_locked', null::text)$$,
  'where every row that is due is locked, the run ends and says so');
select dblink_exec('other', 'commit') \g /dev/null
call maintenance.run_job('purge') \g /dev/null
select results_eq('select * from public.last_run', $$values ('succeeded', 2::bigint, 'done', null::text)$$,
  'the next run takes rows that were locked when they are free');

-- Locks that no skip locked goes around: of a child row that the delete cascades to, of a whole table.
create table public.child (event_id integer references public.events on delete cascade, note text);
create index on public.child (event_id);
select public.fill() \g /dev/null
insert into public.child select id from public.events;
select dblink_exec('other', 'begin') \g /dev/null
select dblink_exec('other', 'update public.child set note = $$held$$ where event_id in (4, 21)') \g /dev/null
select pg_temp.run_it() \g /dev/null
select results_eq('select * from public.last_run', $$values ('succeeded', 23::bigint, 'rows_locked', null::text)$$,
  'rows whose children are locked are left out, and all others go');
select is((select string_agg(id::text, ' ' order by id) from public.events), '4 21',
  'rows whose children are locked stay for the next run');
select dblink_exec('other', 'commit') \g /dev/null
call maintenance.run_job('purge') \g /dev/null
select results_eq('select * from public.last_run', $$values ('succeeded', 2::bigint, 'done', null::text)$$,
  'the next run takes rows whose children are free again');
select public.fill() \g /dev/null
select dblink_exec('other', 'begin') \g /dev/null
select dblink_exec('other', 'lock table public.child in access exclusive mode') \g /dev/null
select pg_temp.run_it() \g /dev/null
select results_eq('select * from public.last_run', $$values ('failed', 0::bigint, 'lock_timeout', '55P03')$$,
  'a table that is locked altogether ends the run, which says so');
select dblink_exec('other', 'rollback') \g /dev/null
select is((select count(*) from public.events), 25::bigint, 'a run that is ended by a locked table deletes nothing');

-- A deadlock, which only a step function can meet: slices give up their wait before.
create table public.pair (id integer primary key, n integer default 0);
insert into public.pair values (1), (2);
create function public.both(batch_size integer) returns bigint language plpgsql
as $$ begin
  update public.pair set n = n + 1 where id = 1;
  while not pg_try_advisory_xact_lock_shared(43) loop perform pg_sleep(0.02); end loop;
  update public.pair set n = n + 1 where id = 2;
  return 0;
end $$;
select maintenance.set_job('both', 'public.both') \g /dev/null
select pg_advisory_lock(43) \g /dev/null
select dblink_send_query('other', $$call maintenance.run_job('both')$$) \g /dev/null
call pg_temp.wait_for($$exists (select from pg_stat_activity as a
  join maintenance_internal.run as r on r.backend_pid = a.pid where r.status = 'running'
  and a.wait_event = 'PgSleep')$$);
begin;
update public.pair set n = n + 10 where id = 2;
select pg_advisory_unlock(43) \g /dev/null
select pg_temp.wait_within($$exists (select from pg_stat_activity as a
  join maintenance_internal.run as r on r.backend_pid = a.pid where r.status = 'running'
  and a.wait_event_type = 'Lock')$$);
set local lock_timeout = '10s';
update public.pair set n = n + 10 where id = 1;
commit;
select is(pg_temp.result_of_other(), 'no error', 'a run that is chosen to end a deadlock does not raise');
select count(*) from dblink_get_result('other', false) as d (r jsonb) \g /dev/null
select results_eq('select * from public.last_run', $$values ('succeeded', 0::bigint, 'done', null::text)$$,
  'a step that is chosen to end a deadlock is called again');
select results_eq('select n from public.pair order by id', array[11, 11],
  'both sessions of a deadlock have done their work');
select is((select count(*) from pg_locks where locktype = 'advisory'), 0::bigint,
  'no lock is left when all runs have ended');
select is((select count(*) from maintenance_internal.run where status = 'running'), 0::bigint,
  'no receipt is left open');
select * from finish();
