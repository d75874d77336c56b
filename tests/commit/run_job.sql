-- run_job commits batch by batch, shows its receipt while it runs, and runs once at a time.
-- Committing, in a database of its own. Another session is a dblink connection called "other".
\set QUIET on
set client_min_messages = error;
create extension pgtap;
select plan(16);
\ir connect.psql

create table public.events (id integer primary key, at timestamptz);
insert into public.events select i, now() - interval '1 year' from generate_series(1, 25) as i;
select maintenance.set_policy('purge', 'public.events', 'delete', 'at', '1 day') \g /dev/null
select maintenance.configure_job('purge', batch_size => 10) \g /dev/null

-- A trigger stops the run in its second batch, until this session lets go of the lock.
create function public.wait_in_second_batch() returns trigger language plpgsql
as $$ begin
  -- no lock_timeout ends this
  while old.id = 15 and not pg_try_advisory_xact_lock(42) loop perform pg_sleep(0.02); end loop;
  return old;
end $$;
create trigger wait before delete on public.events
for each row execute function public.wait_in_second_batch();

select pg_advisory_lock(42) \g /dev/null
select dblink_send_query('other', $$call maintenance.run_job('purge', '{}')$$) \g /dev/null
call pg_temp.wait_for($$exists (select from pg_stat_activity as a
  join maintenance_internal.run as r on r.backend_pid = a.pid
  where r.status = 'running' and a.wait_event = 'PgSleep')$$);

select is((select count(*) from public.events), 15::bigint, 'the first batch is committed before the second ends');
select results_eq($$select status, rows_affected, batches, trigger, attempt, finished_at is null
    from maintenance.run_history$$,
  $$values ('running', 10::bigint, 1, 'manual', 1, true)$$, 'other sessions see the receipt of a run while it runs');
select is((select backend_pid from maintenance_internal.run), (select pid from pg_locks
  where locktype = 'advisory' and classid = maintenance_internal.lock_class()::oid and granted),
  'the receipt of a run names the backend that holds its lock');

call maintenance.run_job('purge') \g /dev/null
select results_eq($$select status, stop_reason, rows_affected from maintenance.run_history
    order by run_id desc limit 1$$,
  $$values ('skipped', 'already_running', 0::bigint)$$,
    'a second copy of a running job leaves a skipped receipt and no error');

select pg_advisory_unlock(42) \g /dev/null
select is((select r #>> '{data,rowsAffected}' from dblink_get_result('other') as d (r jsonb)), '25',
  'a run goes on to its end though a second copy was called');
select count(*) from dblink_get_result('other') as d (r jsonb) \g /dev/null
select results_eq($$select status, rows_affected, batches, stop_reason from maintenance.run_history
    order by run_id limit 1$$,
  $$values ('succeeded', 25::bigint, 3, 'done')$$,
    'the receipt of a run that has ended says succeeded, with all its rows and batches');
select is((select count(*) from pg_locks where locktype = 'advisory'), 0::bigint,
  'a run that has ended leaves no lock');

-- A failed run commits its receipt and then raises.
create function public.fails(batch_size integer) returns bigint language plpgsql
as $$ begin raise exception 'out of luck'; end $$;
select maintenance.set_job('fails', 'public.fails') \g /dev/null
select throws_ok($$select dblink_exec('other', $_$call maintenance.run_job('fails')$_$)$$,
  'PM008', 'fails failed: SQLSTATE P0001', 'a failed run raises, so that pg_cron says failed too');
select results_eq($$select status, error, sqlstate from maintenance.run_history where job_name = 'fails'$$,
  $$values ('failed', 'SQLSTATE P0001', 'P0001')$$, 'a failed run commits its receipt before it raises');

-- Inside a transaction.
select throws_ok($$call maintenance.run_job('purge')$$, '2D000', null,
  'a call of run_job inside a transaction is refused');
select is((select count(*) from maintenance.run_history), 3::bigint,
  'a call of run_job inside a transaction leaves no receipt');
select is((select count(*) from pg_locks where locktype = 'advisory'), 0::bigint,
  'a call of run_job inside a transaction holds no lock');
select maintenance.run_now('purge') \g /dev/null
select is((select count(*) from pg_locks where locktype = 'advisory'), 0::bigint,
  'run_now gives its lock back with its transaction');

-- A time zone of the role or the database moves no cut-off (C-017).
create table public.session (sid integer primary key, expire timestamp not null);
insert into public.session select g, (now() at time zone 'UTC') + (g - 50) * interval '6 minutes'
  from generate_series(1, 100) as g;
select maintenance.set_policy('web_sessions', 'public.session', 'delete', 'expire', '0') \g /dev/null
select format('alter role %I in database %I set timezone = %L', current_user, current_database(), 'Asia/Tokyo') \gexec
select format('alter database %I set timezone = %L', current_database(), 'America/New_York') \gexec
select dblink_disconnect('other') \g /dev/null
\ir connect.psql
select is((select zone from dblink('other', 'show timezone') as d (zone text)), 'Asia/Tokyo',
  'the other session is in another time zone');
select from dblink('other', $$call maintenance.run_job('web_sessions')$$) as d (r jsonb) \g /dev/null
select is((select min(sid) || ' ' || count(*) from public.session), '51 50',
  'a session in another time zone purges the same rows');

-- The budget is of the wall clock: a run that has used it up leaves the rest to the next.
create table public.many (id integer primary key, at timestamptz);
insert into public.many select i, now() - interval '1 year' from generate_series(1, 100) as i;
create function public.dawdle() returns trigger language plpgsql as $$ begin perform pg_sleep(0.2); return null; end $$;
create trigger dawdle after delete on public.many for each statement execute function public.dawdle();
select maintenance.set_policy('many', 'public.many', 'delete', 'at', '1 day') \g /dev/null
select maintenance.configure_job('many', batch_size => 10, budget => '1 second') \g /dev/null
call maintenance.run_job('many') \g /dev/null
select results_eq($$select status, stop_reason, rows_affected = 100 - (select count(*) from public.many),
  rows_affected between 10 and 50
    from maintenance.run_history where job_name = 'many'$$,
  $$values ('succeeded', 'budget', true, true)$$, 'a run that has used up its budget leaves the rest and says so');

select * from finish();
